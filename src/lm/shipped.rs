//! The models that are inside the program, so that an installed one works from any folder.

use std::path::PathBuf;

use super::hugging_face::ModelFiles;

/// A small language model of English stories; `models/README.md` says how it was made.
pub const STORYTELLER: &str = "storyteller";

/// The files of a shipped model.
pub fn shipped(name: &str) -> Option<ModelFiles<'static>> {
    (name == STORYTELLER).then(|| ModelFiles {
        folder: PathBuf::from("models/storyteller"),
        config: include_bytes!("../../models/storyteller/config.json"),
        weights: include_bytes!("../../models/storyteller/model.safetensors"),
        tokenizer: include_bytes!("../../models/storyteller/tokenizer.json"),
    })
}
