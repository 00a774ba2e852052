//! Notes of the models that a run wrote, by which the run recognizes them in any folder.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::directory::RunDirectory;
use crate::error::{Error, Result};
use crate::format_version::FormatVersion;
use crate::json;
use crate::platform::files;

/// SHA-256 of each file of a model, by the file's name.
pub(super) type Hashes = BTreeMap<String, String>;

/// Checks whether this path has the name of a file of a model.
pub(super) fn is_of_a_model(path: &Path) -> bool {
    MODEL_FILES.iter().any(|name| path.file_name().is_some_and(|found| found == *name))
}

const MODEL_FILES: [&str; 10] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "heads.safetensors",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// One line of the notes: a model that was written.
#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(default)]
    version: FormatVersion,
    files: Hashes,
}

/// Reads the hashes of each model that this run wrote so far.
pub(super) fn noted(run: &RunDirectory) -> Result<Vec<Hashes>> {
    let path = run.outputs();
    if !files::exists(&path)? {
        return Ok(Vec::new());
    }
    let parse = |(index, line): (usize, &str)| {
        json::from_slice(line.as_bytes()).map(|note: Note| note.files).map_err(|error| {
            Error::line(
                &path,
                index + 1,
                format!("this line does not describe a written model: {error}"),
                "delete this line",
            )
        })
    };
    files::read_text(&path)?.lines().enumerate().map(parse).collect()
}

/// Notes a model that this run is about to write, so that the run recognizes the model later.
pub(super) fn note(hashes: &Hashes, run: &RunDirectory) -> Result<()> {
    let mut all = noted(run)?;
    if all.contains(hashes) {
        return Ok(());
    }
    all.push(hashes.clone());
    let line = |files: Hashes| serde_json::to_string(&Note { version: FormatVersion, files }).map(|line| line + "\n");
    let lines: std::result::Result<String, _> = all.into_iter().map(line).collect();
    let lines = lines.map_err(|error| Error::file("write", &run.outputs(), error.into()))?;
    files::write_atomically(&run.outputs(), lines.as_bytes())
}
