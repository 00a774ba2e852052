//! The choices of people that the original was trained on: best of four continuations.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::plain::PlainFile;
use super::{Fetched, Fetcher};
use crate::error::{Error, Result};

/// A copy of most of the files, as a data set of the hub.
const MIRROR: &str = "datasets/vwxyzjn/lm-human-preferences/resolve/main";

/// A file of labels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) name: &'static str,
    file: &'static str,
    mirrored: bool,
}

pub(super) const TASKS: [Task; 4] = [
    Task { name: "sentiment", file: "offline_5k.json", mirrored: true },
    Task { name: "descriptiveness", file: "offline_5k.json", mirrored: true },
    Task { name: "tldr", file: "online_45k.json", mirrored: false },
    Task { name: "cnndm", file: "online_45k.json", mirrored: true },
];

impl Task {
    /// Reads `labels/TASK`.
    pub(super) fn parse(text: &str) -> Option<&'static Self> {
        let name = text.strip_prefix("labels/")?;
        TASKS.iter().find(|task| task.name == name)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.name, self.file)
    }

    pub(super) fn place(&self, own_cache: &Path) -> PathBuf {
        own_cache.join("labels").join(self.name).join(self.file)
    }
}

impl Fetcher {
    pub(super) fn fetch_labels(&self, target: &str, task: &Task) -> Result<Fetched> {
        let mirror = self.places.endpoint.below(&format!("{MIRROR}/{}", task.path()))?;
        let file = self.fetch_plain(&PlainFile {
            title: target,
            destination: task.place(&self.folders.own),
            address: self.places.labels.below(&task.path())?,
            mirror: task.mirrored.then_some(mirror),
            check,
            hint: &|_| "the file may have moved; PREFTUNE_LABELS names another place with the same files".into(),
        })?;
        Ok(Fetched::new(target, file.path.clone(), None, vec![file]))
    }
}

/// Reads the whole file as what it should be, one row at a time: it can have 100 MB.
fn check(file: &Path, address: &Path) -> Result<()> {
    let opened = File::open(file).map_err(|source| Error::file("read", file, source))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 20, opened));
    let rows = json.deserialize_seq(Rows).and_then(|rows| json.end().map(|()| rows));
    let hint = "the server sent something else; PREFTUNE_LABELS names another place with the same files";
    match rows {
        Ok(0) => Err(Error::input(address, "no labels: the array is empty", hint)),
        Ok(_) => Ok(()),
        Err(error) => Err(Error::input(address, format!("not the original's labels: {error}"), hint)),
    }
}

/// Counts rows.
struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = usize;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of labels")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> std::result::Result<usize, A::Error> {
        let mut count = 0;
        while rows.next_element_seed(Row)?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Looks at one row: token ids under `query`, `sample0`, `sample1` and so on, and under `best` the
/// number of a sample.
struct Row;

impl<'de> DeserializeSeed<'de> for Row {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with query, sample0, sample1 and best")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> std::result::Result<(), A::Error> {
        let (mut query, mut samples, mut best) = (false, 0, None);
        while let Some(key) = row.next_key::<String>()? {
            if key == "best" {
                best = Some(row.next_value::<usize>()?);
            } else if key == "query" || key.strip_prefix("sample").is_some_and(|number| number.parse::<u8>().is_ok()) {
                let Tokens = row.next_value()?;
                query |= key == "query";
                samples += usize::from(key != "query");
            } else {
                row.next_value::<IgnoredAny>()?;
            }
        }
        match (query, best) {
            (true, Some(best)) if samples >= 2 && best < samples => Ok(()),
            (true, Some(best)) if samples >= 2 => {
                Err(de::Error::custom(format!("best is {best}, of {samples} samples")))
            }
            _ => Err(de::Error::custom("a row without query, sample0, sample1 or best")),
        }
    }
}

/// Token ids, read and forgotten.
struct Tokens;

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Vec::<u32>::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.json");
        std::fs::write(&path, text).unwrap();
        let error = check(&path, Path::new("https://host/labels.json")).err()?;
        assert_eq!(error.exit_code(), 4);
        Some(error.to_string())
    }

    #[test]
    fn the_originals_format_passes() {
        let row = r#"{"query": [1, 50259], "sample0": [2], "sample1": [3], "best": 1, "more": {"a": "b"}}"#;
        assert_eq!(complaint(&format!("[{row}, {row}]\n")), None);
    }

    #[test]
    fn anything_else_is_named() {
        let row = |best: &str| format!(r#"[{{"query": [1], "sample0": [2], "sample1": [3], "best": {best}}}"#);
        for (text, expected) in [
            ("<html>", "not the original's labels"),
            ("[]", "empty"),
            ("{}", "an array of labels"),
            ("[1]", "an object with query"),
            (r#"[{"query": [1], "best": 0}]"#, "without query"),
            (r#"[{"query": ["a"], "best": 0}]"#, "line 1"),
            (&(row("2") + "]"), "best is 2, of 2 samples"),
            (&(row("-1") + "]"), "-1"),
            (&row("0"), "EOF"),
            (&(row("0") + "] x"), "trailing"),
        ] {
            let complaint = complaint(text).unwrap();
            assert!(complaint.starts_with("https://host/labels.json: ") && complaint.contains(expected), "{complaint}");
        }
    }
}
