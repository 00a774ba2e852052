//! Models that are inside the program, so that an installed program works from any folder.

use std::path::PathBuf;

use super::hugging_face::{ModelFiles, TokenizerFiles, WEIGHTS_FILE};
use super::tensor_file::TensorFile;
use super::weights::Weights;
use crate::error::Result;
use crate::platform::files::sha256;

/// A small language model of English stories; `models/README.md` says how it was made.
pub const STORYTELLER: &str = "storyteller";

const STORYTELLER_CONFIG: &[u8] = include_bytes!("../../../models/storyteller/config.json");
const STORYTELLER_WEIGHTS: &[u8] = include_bytes!("../../../models/storyteller/model.safetensors");
const STORYTELLER_TOKENIZER: &[u8] = include_bytes!("../../../models/storyteller/tokenizer.json");

/// SHA-256 digests of a shipped model.
pub struct ShippedDigests {
    /// Digest of the folder that the model is shipped from, so that the model is the same by its name and by
    /// its folder.
    pub of_folder: String,
    /// Digest of `model.safetensors` alone.
    pub of_weights: String,
}

/// Returns the digests of a shipped model.
pub fn shipped_digests(name: &str) -> Option<ShippedDigests> {
    if name != STORYTELLER {
        return None;
    }
    // The files are in the order of their names, as in the digest of a folder.
    let digests = [STORYTELLER_CONFIG, STORYTELLER_WEIGHTS, STORYTELLER_TOKENIZER].map(sha256);
    let of_folder = sha256(digests.concat().as_bytes());
    let [_, of_weights, _] = digests;
    Some(ShippedDigests { of_folder, of_weights })
}

/// Returns the files of a shipped model.
///
/// # Errors
/// None for the files that ship.
pub fn shipped(name: &str) -> Result<Option<ModelFiles<'static>>> {
    if name != STORYTELLER {
        return Ok(None);
    }
    let folder = PathBuf::from("models/storyteller");
    let tokenizer = TokenizerFiles::json(STORYTELLER_TOKENIZER);
    let weights = Weights::of_one(TensorFile::from_bytes(STORYTELLER_WEIGHTS, &folder.join(WEIGHTS_FILE))?)?;
    Ok(Some(ModelFiles::new(folder, STORYTELLER_CONFIG, weights, tokenizer)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::hugging_face::is_file_of_model;
    use super::*;
    use crate::platform::files::digest;

    #[test]
    fn a_shipped_model_is_the_same_by_its_name_and_by_its_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/storyteller");
        assert_eq!(shipped_digests(STORYTELLER).unwrap().of_folder, digest(&folder, is_file_of_model).unwrap());
        assert!(shipped_digests("other").is_none());
    }
}
