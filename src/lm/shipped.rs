//! The models that are inside the program, so that an installed one works from any folder.

use std::path::PathBuf;

use super::hugging_face::{ModelFiles, TokenizerFiles, WEIGHTS_FILE};
use super::tensor_file::TensorFile;
use crate::error::Result;

/// A small language model of English stories; `models/README.md` says how it was made.
pub const STORYTELLER: &str = "storyteller";

const STORYTELLER_WEIGHTS: &[u8] = include_bytes!("../../models/storyteller/model.safetensors");

/// The weights file of a shipped model.
pub fn shipped_weights(name: &str) -> Option<&'static [u8]> {
    (name == STORYTELLER).then_some(STORYTELLER_WEIGHTS)
}

/// The files of a shipped model.
///
/// # Errors
/// None with the files that ship.
pub fn shipped(name: &str) -> Result<Option<ModelFiles<'static>>> {
    let Some(weights) = shipped_weights(name) else { return Ok(None) };
    let folder = PathBuf::from("models/storyteller");
    Ok(Some(ModelFiles {
        config: include_bytes!("../../models/storyteller/config.json"),
        weights: TensorFile::from_bytes(weights, &folder.join(WEIGHTS_FILE))?,
        tokenizer: TokenizerFiles::json(include_bytes!("../../models/storyteller/tokenizer.json")),
        folder,
    }))
}
