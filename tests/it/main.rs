//! Integration tests in one binary, so that Burn is linked once.

mod cli;
mod fetch;
mod labelling;
mod mutations;
mod numerics;
mod support;
mod training;
