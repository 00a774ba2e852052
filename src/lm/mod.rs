//! The language model all sides share: policy, reference and reward model are each a
//! [`Transformer`] with or without a [`ScalarHead`].

mod adam;
mod config;
pub mod gradients;
mod heads;
pub mod hugging_face;
mod kv_cache;
mod log_probs;
pub mod lora;
pub mod memory;
pub mod operations;
mod original_labels;
pub mod parameters;
mod passes;
mod queries;
mod sampler;
mod self_check;
mod shipped;
mod task;
pub mod tensor_file;
mod token_batch;
mod tokenizer;
mod transformer;

pub use adam::Adam;
pub use config::ModelConfig;
pub use gradients::Backward;
pub use heads::ScalarHead;
pub use hugging_face::{LanguageModel, ModelFiles, TokenizerFiles};
pub use kv_cache::KvCache;
pub use log_probs::ResponseBatch;
pub use operations::draw;
pub use original_labels::{comparisons_to_labels, count_changed_as_text, labels_to_comparisons, original_labels};
pub use passes::Passes;
pub use queries::Queries;
pub use sampler::{ROWS_AT_ONCE, Sampled, Sampling, sample};
pub use self_check::{Agreement, check_cached_decoding};
pub use shipped::{STORYTELLER, shipped, shipped_weights};
pub use task::{Task, Truncation};
pub use tensor_file::{Precision, TensorFile};
pub use token_batch::{Input, TokenBatch, select_rows};
pub use tokenizer::{END_OF_TEXT, Tokenizer};
pub use transformer::Transformer;
