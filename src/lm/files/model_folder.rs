//! Files of a model in a folder, and the faults of folders with other files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::hugging_face::{
    CONFIG_FILE, GENERATION_FILE, HEADS_FILE, LARGEST_TOKENIZER_FILE, ModelFiles, TOKENIZER_FILES, TokenizerFiles,
    WEIGHTS_FILE, WEIGHTS_INDEX_FILE,
};
use super::tensor_file::TensorFile;
use super::weights::Weights;
use super::weights_index::WeightsIndex;
use crate::error::{Error, Result};
use crate::platform::files;

/// File that describes an adapter, in folders of the library PEFT.
const ADAPTER_FILE: &str = "adapter_config.json";

/// Endings of files that hold the weights of a model, most of them in formats that are not read here.
const OTHER_FORMS: [&str; 10] = ["safetensors", "bin", "pt", "pth", "ckpt", "gguf", "h5", "msgpack", "onnx", "ot"];

/// Opens the files of the model in `folder`, and calls `work` with them.
///
/// # Errors
/// [`Error::Input`] naming what was found and what is needed, [`Error::File`] for a file that cannot be read,
/// and the errors of `work`.
pub fn with_files<T>(folder: &Path, work: impl FnOnce(ModelFiles<'_>) -> Result<T>) -> Result<T> {
    refuse_other_folders(folder)?;
    let read = |file: &str, most: u64| {
        let path = folder.join(file);
        is_there(&path)?.then(|| files::read_at_most(&path, most)).transpose()
    };
    let mut companions = Vec::new();
    for name in TOKENIZER_FILES.into_iter().chain([GENERATION_FILE]) {
        companions.extend(read(name, LARGEST_TOKENIZER_FILE)?.map(|bytes| (name.to_string(), bytes)));
    }
    let companion = |name: &str| companions.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.clone());
    work(ModelFiles {
        folder: folder.into(),
        config: &files::read_at_most(&folder.join(CONFIG_FILE), LARGEST_TOKENIZER_FILE)?,
        weights: open_weights(folder)?,
        tokenizer: TokenizerFiles::found(|name| Ok(companion(name)))?,
        heads: read(HEADS_FILE, u64::MAX)?,
        companions,
    })
}

/// Checks whether a file exists. A file that cannot be accessed is an error, and so is a broken link: the model
/// would be read without it.
fn is_there(path: &Path) -> Result<bool> {
    match path.try_exists() {
        Ok(false) if path.is_symlink() => {
            let hint = "copy or fetch the file that it leads to, or delete the link";
            Err(Error::input(path, "this is a link to a file that is not there", hint))
        }
        // No file can have this name, or lie below another file.
        Err(error)
            if [ErrorKind::NotADirectory, ErrorKind::InvalidInput, ErrorKind::InvalidFilename]
                .contains(&error.kind()) =>
        {
            Ok(false)
        }
        found => found.map_err(|source| Error::file("look for", path, source)),
    }
}

/// Refuses a folder that does not hold a whole model in Hugging Face layout.
fn refuse_other_folders(folder: &Path) -> Result<()> {
    let inside = folder.join("model");
    let has_config = is_there(&folder.join(CONFIG_FILE))?;
    if !has_config && is_there(&inside.join(CONFIG_FILE))? {
        let hint = format!("there is one in {}", inside.display());
        return Err(Error::input(folder, "no model is in this folder itself", hint));
    }
    if is_there(&folder.join(ADAPTER_FILE))? {
        let hint = "merge the adapter into its model and save that: `model.merge_and_unload().save_pretrained(folder)`";
        return Err(Error::input(
            folder,
            format!("found an adapter ({ADAPTER_FILE}), but a whole model is needed"),
            hint,
        ));
    }
    if !has_config {
        let what = format!("{}, but {CONFIG_FILE} is needed", found(folder));
        return Err(Error::input(folder, what, "give the folder of a model in Hugging Face layout"));
    }
    Ok(())
}

/// Opens the weights: one file, or the shards that an index names.
fn open_weights(folder: &Path) -> Result<Weights<'static>> {
    let open = |path: PathBuf| TensorFile::open(files::open(&path)?, &path);
    if is_there(&folder.join(WEIGHTS_FILE))? {
        return Weights::of_one(open(folder.join(WEIGHTS_FILE))?);
    }
    if !is_there(&folder.join(WEIGHTS_INDEX_FILE))? {
        let hint = "save the model in safetensors: `model.save_pretrained(folder, safe_serialization=True)` in transformers, \
                    or convert it to that";
        return Err(Error::input(folder, format!("{}, but {WEIGHTS_FILE} is needed", found(folder)), hint));
    }
    let path = folder.join(WEIGHTS_INDEX_FILE);
    let index = WeightsIndex::read(&files::read(&path)?, &path)?;
    let mut shards = Vec::new();
    for shard in index.shards() {
        if !is_there(&folder.join(shard))? {
            let hint = "copy or fetch the model again, all of its shards";
            return Err(Error::input(&path, format!("{shard} is not in this folder"), hint));
        }
        let file = open(folder.join(shard))?;
        index.check(shard, &file)?;
        shards.push(file);
    }
    Weights::of_shards(&path, shards)
}

/// Names the files of a folder that look like a model's, for an error.
fn found(folder: &Path) -> String {
    const SHOWN: usize = 4;
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let is_weights = |name: &String| {
        let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy().into_owned());
        extension.is_some_and(|extension| OTHER_FORMS.contains(&extension.as_str()))
    };
    names.retain(is_weights);
    names.sort();
    match names.len() {
        0 => "nothing of a model is in this folder".into(),
        count if count > SHOWN => {
            format!(
                "found {} and {} others",
                names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", "),
                count - SHOWN
            )
        }
        _ => format!("found {}", names.join(", ")),
    }
}
