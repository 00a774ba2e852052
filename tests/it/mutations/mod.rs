//! Files that were damaged, or written by an attacker: each is refused with one error, or read as a second,
//! independent reader in the tests reads it. That reader is short enough to be checked by eye.
//!
//! The mutants are the same in every run. `cargo test` reads some of each kind, and
//! `cargo test --release -- --ignored` reads all of them.

mod bytes;
mod checkpoints;
mod classifier;
mod comparisons;
mod config_json;
mod dice;
mod documents;
mod folder;
mod json;
mod label_studio;
mod model;
mod original_labels;
mod pairs;
mod queries;
mod run_folder;
mod safetensors;
mod settings;
mod structure;
mod trial;
