//! The network, its operations and its gradients, compared with independent values on every backend.

mod adam;
pub mod devices;
mod gpt2_124m;
mod gradients;
mod model;
mod operations;
mod parity;
mod task;
mod tokenizer;
