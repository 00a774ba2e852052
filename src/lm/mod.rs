//! The language model that all sides share: policy, reference and reward model are each a [`Transformer`]
//! with or without a [`ScalarHead`].
//!
//! [`network`] is its mathematics, [`kernels`] the operations it is computed with, [`files`] how it and its
//! tokenizer lie on disk. [`sample`] draws from it.

pub mod files;
pub mod kernels;
pub mod network;
mod passes;
mod sampler;
mod self_check;

pub use files::{
    ConfigFile, END_OF_TEXT, HeadsFile, HeadsKind, LanguageModel, ModelFiles, Precision, STORYTELLER, ShippedDigests,
    TensorFile, Tokenizer, TokenizerFiles, Weights, WeightsIndex, shipped, shipped_digests,
};
pub use kernels::draw;
pub use network::{
    Input, KvCache, ModelConfig, ResponseBatch, Responses, ScalarHead, TokenBatch, Transformer, select_rows,
};
pub use passes::Passes;
pub use sampler::{Pass, ROWS_AT_ONCE, Sampled, Sampling, passes_of, sample, sample_and_tell};
pub use self_check::{Agreement, check_cached_decoding};
