//! The language model all sides share: policy, reference and reward model are each a
//! [`Transformer`] with or without a [`ScalarHead`].

mod adam;
mod config;
mod heads;
pub mod hugging_face;
mod kv_cache;
mod log_probs;
pub mod operations;
pub mod parameters;
mod sampler;
mod self_check;
mod shipped;
mod task;
mod token_batch;
mod tokenizer;
mod transformer;

pub use adam::Adam;
pub use config::ModelConfig;
pub use heads::ScalarHead;
pub use hugging_face::{LanguageModel, ModelFiles, Precision};
pub use kv_cache::KvCache;
pub use log_probs::ResponseBatch;
pub use sampler::{Sampled, Sampling, draw, sample};
pub use self_check::{Agreement, check_cached_decoding};
pub use shipped::{STORYTELLER, shipped};
pub use task::{Task, Truncation};
pub use token_batch::{TokenBatch, select_rows};
pub use tokenizer::{END_OF_TEXT, Tokenizer};
pub use transformer::Transformer;
