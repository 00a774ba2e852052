//! The original's label files: the best of four, in token ids of GPT-2 (`label_types.py`,
//! `PickBest`), as one JSON array.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entries::Entries;
use super::left_out::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::json;

/// Number of tokens of GPT-2, whose ids are all below it.
pub const GPT2_TOKENS: u32 = 50_257;

/// Id that pads queries and samples to their full length, and is no token of GPT-2 (`encodings.py`).
pub const PADDING: u32 = 50_259;

/// One comparison, as it stands in the file: queries of 64 ids, samples of 24 in the stylistic tasks,
/// padding included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickBest {
    pub query: Vec<u32>,
    pub sample0: Vec<u32>,
    pub sample1: Vec<u32>,
    pub sample2: Vec<u32>,
    pub sample3: Vec<u32>,
    /// The number of the best sample, from 0.
    pub best: usize,
}

impl PickBest {
    /// Returns the four samples, in order.
    pub fn samples(&self) -> [&[u32]; 4] {
        [&self.sample0, &self.sample1, &self.sample2, &self.sample3].map(Vec::as_slice)
    }

    /// Returns the JSON of this comparison: an entry of the array that [`LabelReader`] reads.
    pub fn to_json(&self) -> String {
        // Cannot fail: serde_json refuses only keys that are not strings.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns what is wrong with this comparison, if anything.
    pub fn fault(&self) -> Option<String> {
        if self.best > 3 {
            return Some(format!("best is {}, but the samples are numbered 0 to 3", self.best));
        }
        if without_padding(&self.query).is_empty() {
            return Some("the query holds nothing but padding".into());
        }
        let ids = self.samples().into_iter().flatten().chain(&self.query);
        let unknown = ids.copied().find(|&id| id >= GPT2_TOKENS && id != PADDING);
        unknown.map(|id| format!("{id} is neither a token of GPT-2 nor its padding, {PADDING}"))
    }
}

/// Returns the tokens without the padding around and between them.
pub fn without_padding(ids: &[u32]) -> Vec<u32> {
    ids.iter().copied().filter(|&id| id != PADDING).collect()
}

/// Checks whether a file of comparisons or queries is one of the original's, even if it is damaged.
pub fn is_original(entries: &mut Entries<impl BufRead>) -> bool {
    match entries.peek() {
        Some(Ok((_, entry))) => entry.get("query").is_some_and(Value::is_array) || entry.get("sample0").is_some(),
        Some(Err(_)) => entries.is_array_with("\"sample0\""),
        None => false,
    }
}

const HINT: &str = "each entry is {\"query\": [ids], \"sample0\": [ids], …, \"sample3\": [ids], \"best\": 0}";

/// An iterator over the comparisons of a label file; none is left out.
///
/// An entry that is no comparison, or cannot be one, is an [`Error::Input`] with its line and its number in the
/// file, from 1.
pub struct LabelReader<R> {
    entries: Entries<R>,
    path: PathBuf,
    number: usize,
}

impl<R: BufRead> LabelReader<R> {
    /// Makes an iterator from the first entry on.
    pub fn new(entries: Entries<R>) -> Self {
        let path = entries.path().to_path_buf();
        Self { entries, path, number: 0 }
    }
}

impl<R: BufRead> Iterator for LabelReader<R> {
    type Item = Result<PickBest>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        self.number += 1;
        Some(entry.and_then(|(line, entry)| {
            let fault =
                |what: String| Error::line(&self.path, line, format!("comparison {}: {what}", self.number), HINT);
            let label: PickBest = json::from_value(entry).map_err(|error| fault(error.to_string()))?;
            label.fault().map_or(Ok(label), |what| Err(fault(what)))
        }))
    }
}

/// Returns the queries of a file without padding, each once, in order of first appearance, and counts repetitions.
///
/// # Errors
/// The error of the first bad comparison.
pub fn distinct_queries(
    labels: impl Iterator<Item = Result<PickBest>>,
    left_out: &mut LeftOut,
) -> Result<Vec<Vec<u32>>> {
    let (mut seen, mut distinct) = (HashSet::new(), Vec::new());
    for label in labels {
        let query = without_padding(&label?.query);
        match seen.insert(query.clone()) {
            true => distinct.push(query),
            false => left_out.count(Reason::RepeatedQueries, 1),
        }
    }
    Ok(distinct)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn entries(text: &str) -> Entries<&[u8]> {
        Entries::new(text.as_bytes(), Path::new("offline_5k.json"))
    }

    fn parse(text: &str) -> Result<Vec<PickBest>> {
        LabelReader::new(entries(text)).collect()
    }

    fn is_original(text: &str) -> bool {
        super::is_original(&mut entries(text))
    }

    fn padded(length: usize) -> impl Strategy<Value = Vec<u32>> {
        (prop::collection::vec(0..GPT2_TOKENS, 1..=length)).prop_map(move |mut ids| {
            ids.resize(length, PADDING);
            ids
        })
    }

    prop_compose! {
        fn label()(query in padded(64), samples in prop::array::uniform4(padded(24)), best in 0..4usize) -> PickBest {
            let [sample0, sample1, sample2, sample3] = samples;
            PickBest { query, sample0, sample1, sample2, sample3, best }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_on_the_way_in_and_out(labels in prop::collection::vec(label(), 1..5)) {
            let written: Vec<String> = labels.iter().map(PickBest::to_json).collect();
            prop_assert_eq!(parse(&format!("[{}]", written.join(","))).unwrap(), labels);
        }
    }

    #[test]
    fn a_file_as_the_original_wrote_it() {
        let text = r#"[{"query": [464, 13, 50259], "sample0": [1], "sample1": [2, 50259], "sample2": [3],
            "sample3": [4], "best": 2}]"#;
        let labels = parse(text).unwrap();
        assert!(is_original(text) && !is_original("{\"query\": \"a\"}"));
        assert!(is_original(&text.replacen("464,", "464;", 1)), "damaged in its first entry");
        assert!(!is_original("[The door opened.\n"), "a query that begins with a bracket");
        assert_eq!((labels[0].samples()[1], labels[0].best), ([2, 50259].as_slice(), 2));
        let mut left_out = LeftOut::default();
        let twice = [labels.clone(), labels].concat().into_iter().map(Ok);
        assert_eq!(distinct_queries(twice, &mut left_out).unwrap(), [[464, 13]]);
        assert_eq!(left_out.number(Reason::RepeatedQueries), 1);
    }

    #[test]
    fn what_cannot_be_is_named_with_its_place() {
        let good = r#"{"query":[1],"sample0":[1],"sample1":[2],"sample2":[3],"sample3":[4],"best":0}"#;
        let says = |text: &str| parse(text).unwrap_err().to_string();
        let four = says(&format!("[{good},{}]", good.replace("\"best\":0", "\"best\":4")));
        assert_eq!(four, "offline_5k.json:1: comparison 2: best is 4, but the samples are numbered 0 to 3");
        for id in [50_257, 50_258, 50_260] {
            let fault = says(&format!("[{}]", good.replace("[1]", &format!("[{id}]"))));
            assert!(fault.contains(&format!("{id} is neither")), "{fault}");
        }
        assert!(says(&format!("[{}]", good.replace("\"query\":[1]", "\"query\":[50259]"))).contains("but padding"));
        let torn = says(&format!("[{good},\n{{\"query\":"));
        assert!(torn.starts_with("offline_5k.json:2: not the JSON expected here"), "{torn}");
        assert!(LabelReader::new(entries(&format!("[{good},\n{{\"query\":"))).next().unwrap().is_ok());
        assert!(says("[{\"query\":[1]}]").contains("missing field `sample0`"));
    }
}
