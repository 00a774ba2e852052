//! Opening of models, by the name of one that is inside the program, by a folder, or by the name of one that
//! was fetched.
//!
//! ```
//! use preftune::{device, models};
//!
//! let storyteller = models::open("storyteller", &device::host())?;
//! assert_eq!(storyteller.config().width, 256);
//! # Ok::<(), preftune::Error>(())
//! ```

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use crate::config::ModelSize;
use crate::error::{Error, Result};
use crate::fetch;
use crate::lm::files::hugging_face::CONFIG_FILE;
use crate::lm::files::{hugging_face, model_folder, shipped};
use crate::lm::{ConfigFile, LanguageModel, ModelFiles, Tokenizer, shipped_digests};
use crate::platform::files;
use crate::reward::RewardModel;
use crate::run::Input;

/// Opens a language model on this device.
///
/// # Errors
/// [`Error::Input`] where there is no such model, and for one that cannot be read, with the file and what is
/// wrong with it.
pub fn open(model: impl AsRef<Path>, device: &Device) -> Result<LanguageModel> {
    with_files_of(model.as_ref(), |files| LanguageModel::load(files, device))
}

/// Opens the tokenizer of a model.
///
/// # Errors
/// The errors of [`open`].
pub fn open_tokenizer(model: impl AsRef<Path>) -> Result<Tokenizer> {
    with_files_of(model.as_ref(), |files| Ok(files.tokenizer.read(&files.folder)?.0))
}

/// Opens a reward model from the folder that `train-reward` wrote, for the responses of `policy`.
///
/// # Errors
/// [`Error::Input`] when there is no reward model, or its tokenizer or context length differs from the policy's.
pub fn open_reward_model(folder: &Path, policy: &LanguageModel, device: &Device) -> Result<RewardModel> {
    if !folder.is_dir() {
        return Err(Error::input(folder, "no such folder", "`preftune train-reward --out` writes one"));
    }
    let (reward_model, model) = model_folder::with_files(folder, |files| RewardModel::load(files, device))?;
    let sizes = |model: &LanguageModel| (model.config().vocab_size, model.config().positions);
    if sizes(&model) != sizes(policy) || !model.tokenizer.is_same_as(&policy.tokenizer) {
        return Err(Error::input(
            folder,
            "the reward model and the model that it is to score have different tokenizers or context lengths",
            "give both commands the same --model, or models with the same tokenizer and context length",
        ));
    }
    Ok(reward_model)
}

/// Returns the fingerprint of a model, by which a run folder recognizes it; the model may be inside the program.
///
/// # Errors
/// [`Error::File`] when the files of the model cannot be read.
pub fn fingerprint(model: &Path) -> Result<Input> {
    match (shipped_digests(name_of(model)), fetched_model(model)?) {
        (Some(digests), _) => {
            let input = Input::new("model", model.display(), digests.of_folder);
            Ok(Input { sha256_of_0_1: Some(digests.of_weights), ..input })
        }
        (None, Some(folder)) => {
            Ok(Input { name: model.display().to_string(), ..fingerprint_of_folder("model", &folder)? })
        }
        (None, None) => fingerprint_of_folder("model", model),
    }
}

/// Returns the size of a model by its name or folder, from its configuration alone.
///
/// # Errors
/// The errors of [`open`].
pub fn size(model: &Path) -> Result<ModelSize> {
    let shape =
        with_files_of(model, |files| Ok(ConfigFile::read(files.config, &files.folder.join(CONFIG_FILE))?.config))?;
    Ok(ModelSize { parameters: shape.parameter_count() })
}

/// Returns the fingerprint of the folder of a model; files that are not of the model do not count.
///
/// # Errors
/// The errors of [`fingerprint`].
pub fn fingerprint_of_folder(role: &str, folder: &Path) -> Result<Input> {
    let input = Input::new(role, folder.display(), files::digest(folder, hugging_face::is_file_of_model)?);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let differs = names.iter().any(|name| hugging_face::is_file_of_model(name) != hugging_face::counted_in_0_1(name));
    let sha256_of_0_1 = differs.then(|| files::digest(folder, hugging_face::counted_in_0_1)).transpose()?;
    Ok(Input { sha256_of_0_1, ..input })
}

/// Returns the argument as the name of a model that ships or was fetched; empty for a folder whose path is not UTF-8.
fn name_of(model: &Path) -> &str {
    model.to_str().unwrap_or_default()
}

/// Finds the folder of a model by its name on the hub, if it was fetched; `None` if a file or folder of that
/// name exists, which comes first.
fn fetched_model(model: &Path) -> Result<Option<PathBuf>> {
    if model.exists() { Ok(None) } else { fetch::cached_model(name_of(model)) }
}

fn with_files_of<T>(model: &Path, work: impl FnOnce(ModelFiles<'_>) -> Result<T>) -> Result<T> {
    match shipped(name_of(model))? {
        Some(files) => work(files),
        None if model.is_dir() => model_folder::with_files(model, work),
        None => match fetched_model(model)? {
            Some(folder) => model_folder::with_files(&folder, work),
            None => Err(no_such_model(model)),
        },
    }
}

fn no_such_model(model: &Path) -> Error {
    if model.is_file() {
        return Error::input(
            model,
            "this is a file",
            "give the folder of a model, with its config.json, not one of its files",
        );
    }
    let name = name_of(model);
    let others = "use `storyteller`, or a folder with config.json, model.safetensors and tokenizer.json";
    let hint = match fetch::names_a_model(name) {
        true => format!("if it is a model on the Hugging Face hub, run `preftune fetch {name}`; or {others}"),
        false => others.into(),
    };
    Error::input(model, "no such model", hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_that_end_a_response_are_part_of_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let now = || fingerprint_of_folder("model", folder.path()).unwrap();
        write(CONFIG_FILE, "{}");
        let without = now();
        write(hugging_face::GENERATION_FILE, "{\"eos_token_id\": 2}");
        let one = now();
        write(hugging_face::GENERATION_FILE, "{\"eos_token_id\": [2, 3]}");
        assert_ne!(one.sha256, now().sha256);
        assert_ne!(one.sha256, without.sha256);
    }
}
