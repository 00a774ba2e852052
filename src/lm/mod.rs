//! The language model: policy, reference and reward model are each a [`Transformer`], with or without a
//! [`ScalarHead`].
//!
//! [`network`] holds the mathematics of the model, [`kernels`] the tensor operations, [`files`] the files of a
//! model and its tokenizer. [`sample`] samples responses.

pub mod files;
pub mod kernels;
mod micro_batches;
pub mod network;
mod sampler;
mod self_check;

pub use files::{
    ConfigFile, END_OF_TEXT, FileContent, HeadsFile, HeadsKind, LanguageModel, ModelFiles, Precision, STORYTELLER,
    ShippedDigests, TensorFile, Tokenizer, TokenizerFiles, Weights, WeightsIndex, shipped, shipped_digests,
};
pub use kernels::draw;
pub use micro_batches::MicroBatches;
pub use network::{
    Input, KvCache, ModelConfig, ResponseBatch, Responses, ScalarHead, TokenBatch, Transformer, select_rows,
};
pub use sampler::{Pass, ROWS_AT_ONCE, Sampled, Sampling, passes_of, sample, sample_and_tell};
pub use self_check::{Agreement, check_cached_decoding};
