//! Labels by people that the original was trained on: best-of-4 choices.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Deserializer;
use serde::de::{self, SeqAccess, Visitor};

use super::label_files::Task;
use super::plain::PlainFile;
use super::{Fetched, Fetcher};
use crate::data::openai::PickBest;
use crate::error::{Error, Result};
use crate::json::strict;

/// Copy of most of the files, in a data set of the hub.
const MIRROR: &str = "datasets/vwxyzjn/lm-human-preferences/resolve/main";

impl Task {
    fn path(&self) -> String {
        format!("{}/{}", self.name, self.file)
    }
}

impl Fetcher {
    pub(super) fn fetch_labels(&self, target: &str, task: &Task) -> Result<Fetched> {
        let mirror = self.places.endpoint.below(&format!("{MIRROR}/{}", task.path()))?;
        let file = self.fetch_plain(&PlainFile {
            title: target,
            destination: task.place(&self.folders.own),
            address: self.places.labels.below(&task.path())?,
            variable: "PREFTUNE_LABELS",
            mirror: task.mirrored.then_some(mirror),
            check,
            hint: &|_| "the file may have moved; PREFTUNE_LABELS names another place with the same files".into(),
        })?;
        Ok(Fetched::new(target, file.path.clone(), None, vec![file]))
    }
}

/// Checks the whole file, one row at a time because it can have 100 MB.
fn check(file: &Path, address: &Path) -> Result<()> {
    let opened = File::open(file).map_err(|source| Error::file("read", file, source))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 20, opened));
    let rows = strict(&mut json).deserialize_seq(Rows).and_then(|rows| json.end().map(|()| rows));
    let hint = "the server sent something else; PREFTUNE_LABELS names another place with the same files";
    match rows {
        Ok(0) => Err(Error::input(address, "no labels: the array is empty", hint)),
        Ok(_) => Ok(()),
        Err(error) => Err(Error::input(address, format!("not the original's labels: {error}"), hint)),
    }
}

/// Visitor that checks and counts the rows of a file.
struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = usize;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of labels")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> std::result::Result<usize, A::Error> {
        let mut count = 0;
        while let Some(label) = rows.next_element::<PickBest>()? {
            count += 1;
            if let Some(fault) = label.fault() {
                return Err(de::Error::custom(format!("comparison {count}: {fault}")));
            }
        }
        Ok(count)
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
        let row = r#"{"query": [1, 50259], "sample0": [2], "sample1": [3], "sample2": [2], "sample3": [3],
            "best": 1, "more": {"a": "b"}}"#;
        assert_eq!(complaint(&format!("[{row}, {row}]\n")), None);
    }

    #[test]
    fn anything_else_is_named() {
        let row = |best: &str| {
            let samples = r#""sample0": [2], "sample1": [3], "sample2": [2], "sample3": [3]"#;
            format!(r#"[{{"query": [1], {samples}, "best": {best}}}"#)
        };
        for (text, expected) in [
            ("<html>", "not the original's labels"),
            ("[]", "empty"),
            ("{}", "an array of labels"),
            ("[1]", "struct PickBest"),
            (r#"[{"query": [1], "best": 0}]"#, "missing field `sample0`"),
            (r#"[{"query": ["a"], "best": 0}]"#, "line 1"),
            (&(row("4") + "]"), "comparison 1: best is 4"),
            (&(row("-1") + "]"), "-1"),
            (&row("0"), "EOF"),
            (&(row("0") + "] x"), "trailing"),
            (&(row("0, \"best\": 0") + "]"), "\"best\" is there twice"),
            ("[[[1], [2], [3], [2], [3], 0]]", "struct PickBest"),
        ] {
            let complaint = complaint(text).unwrap();
            assert!(complaint.starts_with("https://host/labels.json: ") && complaint.contains(expected), "{complaint}");
        }
    }
}
