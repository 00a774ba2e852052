//! Mutated label files of the original.

use std::path::Path;

use preftune::data::entries::Entries;
use preftune::data::openai::{LabelReader, PickBest};

use super::documents::{self, Form};
use super::json::Json;
use super::trial::outcome;

#[test]
fn damaged_labels_of_the_original_are_refused_or_read_to_the_token() {
    test("mutations::original_labels::damaged_labels_of_the_original_are_refused_or_read_to_the_token", 700);
}

#[test]
#[ignore = "takes up to a minute"]
fn all_damaged_labels_of_the_original_are_refused_or_read_to_the_token() {
    test("mutations::original_labels::all_damaged_labels_of_the_original_are_refused_or_read_to_the_token", 3000);
}

fn test(test: &'static str, mutants: u64) {
    let originals: Vec<Json> = ORIGINALS.lines().map(|line| Json::read(line).unwrap()).collect();
    documents::test(test, mutants, &originals, &[Form::Array], &|bytes| outcome(ours(bytes), theirs(bytes)));
}

const ORIGINALS: &str = r#"{"query":[464,13,50259],"sample0":[1],"sample1":[2,50259],"sample2":[3],"sample3":[4],"best":2}
{"query":[50256,11],"sample0":[1,2],"sample1":[1,2],"sample2":[0,50256],"sample3":[50259,50259],"best":0}
{"query":[7,7,7],"sample0":[],"sample1":[2],"sample2":[3],"sample3":[4],"best":3,"more":{"a":"b"}}"#;

fn ours(bytes: &[u8]) -> preftune::Result<Vec<PickBest>> {
    LabelReader::new(Entries::new(bytes, Path::new("labels.json"))).collect()
}

fn theirs(bytes: &[u8]) -> Result<Vec<PickBest>, String> {
    documents::read(bytes)?.iter().map(|(_, entry)| label(entry)).collect()
}

const PADDING: u32 = 50_259;

fn label(entry: &Json) -> Result<PickBest, String> {
    entry.object()?;
    let ids = |key: &str| {
        let ids = entry.get(key).ok_or(format!("no {key}"))?.array()?;
        let id = |id: &Json| {
            id.count()?
                .try_into()
                .ok()
                .filter(|id| *id <= 50_256 || *id == PADDING)
                .ok_or("no token of GPT-2".to_string())
        };
        ids.iter().map(id).collect::<Result<Vec<u32>, String>>()
    };
    let query = ids("query")?;
    let best = entry.get("best").ok_or("no best")?.count()?;
    if best > 3 || query.iter().all(|id| *id == PADDING) {
        return Err("no best, or no query".into());
    }
    let [sample0, sample1, sample2, sample3] = ["sample0", "sample1", "sample2", "sample3"].map(ids);
    Ok(PickBest {
        query,
        sample0: sample0?,
        sample1: sample1?,
        sample2: sample2?,
        sample3: sample3?,
        best: best as usize,
    })
}
