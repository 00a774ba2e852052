//! `model.safetensors.index.json`, which names the shard of each tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::json_object::JsonObject;
use super::tensor_file::TensorFile;
use crate::error::{Error, Result};
use crate::json;

const HINT: &str = "copy or fetch the model again, all of its shards and their index";

/// Shards of a model, with the names of their tensors.
pub struct WeightsIndex(BTreeMap<String, BTreeSet<String>>);

#[derive(serde::Deserialize)]
struct Stored {
    weight_map: JsonObject,
}

impl WeightsIndex {
    /// Reads an index; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] when the index is not JSON, lists a tensor twice, names no shard, or names a shard that
    /// is not beside it.
    pub fn read(bytes: &[u8], path: &Path) -> Result<Self> {
        let bad = |what: String| Error::input(path, what, HINT);
        let stored: Stored =
            json::from_slice(bytes).map_err(|error| bad(format!("not an index of weights: {error}")))?;
        let mut shards: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (tensor, shard) in stored.weight_map.fields() {
            let shard: String = serde_json::from_str(shard)
                .map_err(|_| bad(format!("{tensor} should be in a file, but the index says {shard}")))?;
            if !is_plain(&shard) {
                return Err(bad(format!(
                    "{tensor} should be in {shard:?}, which is no safetensors file of this folder"
                )));
            }
            shards.entry(shard).or_default().insert(tensor.into());
        }
        if shards.is_empty() {
            return Err(bad("weight_map is empty".into()));
        }
        Ok(Self(shards))
    }

    /// Returns the names of the shards.
    pub fn shards(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Checks whether a shard holds exactly the tensors that the index says.
    ///
    /// # Errors
    /// [`Error::Input`] naming the tensor.
    pub fn check(&self, shard: &str, file: &TensorFile<'_>) -> Result<()> {
        let found: BTreeSet<String> = file.names().into_iter().collect();
        let announced = self.0.get(shard).cloned().unwrap_or_default();
        let bad = |what: String| Err(Error::input(file.path(), what, HINT));
        if let Some(tensor) = announced.difference(&found).next() {
            return bad(format!("no tensor {tensor}, which the index says is here"));
        }
        if let Some(tensor) = found.difference(&announced).next() {
            return bad(format!("{tensor} is here, but the index does not say so"));
        }
        Ok(())
    }
}

/// Checks whether a name is that of a safetensors file, and cannot lead out of the folder.
fn is_plain(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|last| last == name)
        && !name.contains(['/', '\\', ':'])
        && name.ends_with(".safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<WeightsIndex> {
        WeightsIndex::read(json.as_bytes(), Path::new("model.safetensors.index.json"))
    }

    #[test]
    fn no_part_leads_out_of_the_folder() {
        for shard in
            ["../m.safetensors", "/m.safetensors", "a/m.safetensors", "..", "a\\\\m.safetensors", "c:m.safetensors", ""]
        {
            let error = read(&format!(r#"{{"weight_map": {{"wte.weight": "{shard}"}}}}"#)).err().unwrap();
            assert!(error.to_string().contains("wte.weight should be in"), "{error}");
            assert_eq!(error.exit_code(), 4);
        }
    }

    #[test]
    fn an_index_that_says_two_things_or_nothing_is_refused() {
        for (json, reason) in [
            (r#"{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}"#, "\"a\" is there twice"),
            (r#"{"weight_map": {}}"#, "weight_map is empty"),
            (r#"{"weight_map": {"a": 3}}"#, "a should be in a file"),
            (r#"{"metadata": {}}"#, "weight_map"),
            ("[]", "not an index"),
        ] {
            let error = read(json).err().unwrap();
            assert!(error.to_string().contains(reason), "{error}");
        }
        let index =
            read(r#"{"metadata": {"total_size": 8}, "weight_map": {"a": "2.safetensors", "b": "1.safetensors"}}"#);
        assert_eq!(index.unwrap().shards().collect::<Vec<_>>(), ["1.safetensors", "2.safetensors"]);
    }
}
