//! A language model on disk: a Hugging Face folder with its configuration, weights and tokenizer.

mod config;
mod heads_file;
pub mod hugging_face;
mod json_object;
mod messages;
pub mod model_folder;
mod shipped;
pub mod tensor_file;
mod tensor_kinds;
mod tokenizer;
mod weights;
mod weights_index;

pub use config::ConfigFile;
pub use heads_file::{HeadsFile, HeadsKind};
pub use hugging_face::{LanguageModel, ModelFiles, TokenizerFiles};
pub use shipped::{STORYTELLER, ShippedDigests, shipped, shipped_digests};
pub use tensor_file::{Precision, TensorFile};
pub use tokenizer::{END_OF_TEXT, FileContent, Tokenizer};
pub use weights::Weights;
pub use weights_index::WeightsIndex;
