//! Files that were damaged or written by somebody who means harm: each is refused with one error, or read
//! as a second reader in the tests reads it, which is small enough to be believed.
//!
//! The mutants are the same every time. `cargo test` reads some of each kind,
//! `cargo test --release -- --ignored` all of them.

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
