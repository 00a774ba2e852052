//! The network: from tokens to hidden states, logits and scalars.

mod architecture;
mod block;
mod config;
pub(crate) mod half_precision;
mod heads;
mod kv_cache;
pub(crate) mod lora;
pub mod parameters;
mod responses;
mod rotation;
mod stored_tensors;
mod token_batch;
mod transformer;

pub use config::{Biases, Family, ModelConfig};
pub use heads::ScalarHead;
pub use kv_cache::KvCache;
pub use responses::{ResponseBatch, Responses};
pub use rotation::{Llama3Scaling, Rotation};
pub use token_batch::{Input, TokenBatch, select_rows};
pub use transformer::Transformer;
