//! Comparisons: a query, N responses, and which of them was judged best.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{parse_json_line, without_byte_order_mark};
use crate::error::{Error, Result};
use crate::format_version::{FormatVersion, NEWER_HINT, Versioned};
use crate::json;

pub(super) const LINE_HINT: &str = "a comparison is {\"query\": \"…\", \"responses\": [\"…\", \"…\"], \"best\": 0}";
pub(super) const TORN_HINT: &str =
    "the last line was cut off while it was being written; it can be deleted, the rest is intact";

/// One comparison: one line of a comparisons file.
///
/// Only `query`, `responses` and `best` are required; what another program leaves out is empty
/// or `None` here, and is left out again when written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Id that distinguishes this comparison from the others of its file; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Text that the responses continue.
    pub query: String,
    /// The continuations, 2 or more, without the query.
    pub responses: Vec<String>,
    /// Index into `responses`, from 0.
    pub best: usize,
    /// Name of the person or of the simulated labeler that chose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub labeler: String,
    /// Milliseconds from showing the comparison to the choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// Time of the choice, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Name of the policy that wrote the responses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// The order on the screen: `order[place]` is an index into `responses`. An empty list means the order of
    /// `responses`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<usize>,
}

impl Comparison {
    /// Returns this comparison as one line of JSONL, with the version of the format, newline included.
    pub fn to_line(&self) -> String {
        // Cannot fail: serde_json refuses only keys that are not strings.
        let mut line = serde_json::to_string(&Versioned::new(self)).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Returns what makes this comparison unusable, if anything.
    fn fault(&self) -> Option<String> {
        if self.query.trim().is_empty() {
            return Some("the query is blank".into());
        }
        let count = self.responses.len();
        if count < 2 {
            return Some(format!("a comparison needs 2 responses or more, this one has {count}"));
        }
        if self.best >= count {
            let (best, last) = (self.best, count - 1);
            return Some(format!("best is {best}, but the responses are numbered 0 to {last}"));
        }
        let mut places = self.order.clone();
        places.sort_unstable();
        if !places.is_empty() && !places.into_iter().eq(0..count) {
            return Some(format!("order does not name each of the {count} responses once"));
        }
        None
    }
}

/// One line of a label log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Judged(Comparison),
    /// A comparison of which nobody could tell the best response: `best` is null in the file, and has no meaning here.
    Undecided(Comparison),
    /// A line that takes back an earlier answer.
    Undone(Undone),
}

/// A line that takes back an earlier answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The id of the answer that no longer counts.
    pub undo: String,
    /// Name of the labeler whose answer is taken back; empty for any labeler's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub labeler: String,
    /// Time of this line, in seconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

impl Undone {
    /// Checks whether this line can take back an answer with this id by this labeler. The last of several such
    /// answers that still counts is taken back, whether it chose a response or not.
    pub fn takes_back(&self, id: &str, labeler: &str) -> bool {
        self.undo == id && (self.labeler.is_empty() || self.labeler == labeler)
    }
}

impl Record {
    /// Returns the record as one line of JSONL, newline included.
    pub fn to_line(&self) -> String {
        let line = match self {
            Self::Judged(comparison) => return comparison.to_line(),
            Self::Undecided(comparison) => serde_json::to_value(Versioned::new(comparison)).map(|mut line| {
                line.as_object_mut().and_then(|fields| fields.insert("best".into(), Value::Null));
                line.to_string()
            }),
            Self::Undone(undone) => serde_json::to_string(&Versioned::new(undone)),
        };
        // Cannot fail: serde_json refuses only keys that are not strings.
        line.unwrap_or_default() + "\n"
    }

    /// Returns the answer, whether it chooses a response or not; `None` for a line that takes one back.
    pub fn answer(&self) -> Option<&Comparison> {
        match self {
            Self::Judged(answer) | Self::Undecided(answer) => Some(answer),
            Self::Undone(_) => None,
        }
    }

    /// Returns the id of the answer that this record takes back; `None` for an answer.
    pub fn undone(&self) -> Option<&str> {
        match self {
            Self::Undone(undone) => Some(&undone.undo),
            _ => None,
        }
    }

    /// Returns what makes this record unusable, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        match self {
            Self::Judged(comparison) | Self::Undecided(comparison) => comparison.fault(),
            Self::Undone(_) => None,
        }
    }

    /// Makes a record from the fields of an entry whose version was checked.
    pub(super) fn of(mut fields: Value) -> serde_json::Result<Self> {
        if fields.get("undo").is_some() {
            return json::from_value(fields).map(Self::Undone);
        }
        match fields.get_mut("best") {
            Some(best) if best.is_null() => {
                *best = 0.into();
                json::from_value(fields).map(Self::Undecided)
            }
            _ => json::from_value(fields).map(Self::Judged),
        }
    }
}

/// Reads comparisons from JSONL: those that were decided and not taken back. Blank lines are skipped; no
/// comparison at all is not an error, because a label log begins empty.
///
/// # Errors
/// The errors of [`parse_records`].
pub fn parse_comparisons(text: &str, path: &Path) -> Result<Vec<Comparison>> {
    Ok(surviving(parse_records(text, path)?))
}

/// Reads every line of a label log.
///
/// # Errors
/// The errors of [`parse_record`].
pub fn parse_records(text: &str, path: &Path) -> Result<Vec<Record>> {
    let text = without_byte_order_mark(text);
    let complete_lines = text.matches('\n').count();
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| parse_record(line, number, path, number > complete_lines))
        .collect()
}

/// Reads one line of a label log, the `number`th from 1.
///
/// # Errors
/// [`Error::Input`] with the line number for a line that is no record: bad JSON, fewer than 2 responses, `best`
/// or `order` out of range, or a last line that is incomplete. If the line `may_be_cut_off`, the hint says that
/// it can be deleted.
pub fn parse_record(line: &str, number: usize, path: &Path, may_be_cut_off: bool) -> Result<Record> {
    let line: Value = parse_json_line(line, number, path, LINE_HINT, may_be_cut_off.then_some(TORN_HINT))?;
    if let Some(fault) = FormatVersion::fault_in(&line) {
        return Err(Error::line(path, number, fault, NEWER_HINT));
    }
    let record = Record::of(line).map_err(|fault| Error::line(path, number, fault.to_string(), LINE_HINT))?;
    match record.fault() {
        Some(what) => Err(Error::line(path, number, what, "correct the line or delete it")),
        None => Ok(record),
    }
}

/// Returns the comparisons that were decided and not taken back. A question whose answer was taken back may be
/// answered again.
pub fn surviving(records: Vec<Record>) -> Vec<Comparison> {
    let mut answers: Vec<Record> = Vec::new();
    for record in records {
        let Record::Undone(undone) = &record else {
            answers.push(record);
            continue;
        };
        let is_meant =
            |answer: &Record| answer.answer().is_some_and(|answer| undone.takes_back(&answer.id, &answer.labeler));
        let place = answers.iter().rposition(is_meant);
        place.map(|place| answers.remove(place));
    }
    let comparison = |answer| match answer {
        Record::Judged(comparison) => Some(comparison),
        Record::Undecided(_) | Record::Undone(_) => None,
    };
    answers.into_iter().filter_map(comparison).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<Comparison>> {
        parse_comparisons(text, Path::new("c.jsonl"))
    }

    fn error_of(text: &str) -> (String, String) {
        let error = parse(text).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        (error.to_string(), error.hint())
    }

    const GOOD: &str = "{\"query\":\"a\",\"responses\":[\"b\",\"c\"],\"best\":1}\n";

    #[test]
    fn only_query_responses_and_best_are_required() {
        let comparisons = parse(&format!("\u{feff}{GOOD}\n\r\n")).unwrap();
        let [only] = comparisons.as_slice() else { panic!("{comparisons:?}") };
        assert_eq!((only.best, only.ms, only.at), (1, None, None));
        // What another program left out is left out again.
        let versioned = GOOD.replace('{', "{\"version\":1,");
        assert_eq!(only.to_line(), versioned);
        assert_eq!(parse(&versioned).unwrap(), comparisons);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn the_shipped_example_is_what_would_be_written() {
        let text = include_str!("../../datasets/comparisons-example.jsonl");
        let comparisons = parse(text).unwrap();
        assert_eq!(comparisons.len(), 12);
        let written: String = comparisons.iter().map(Comparison::to_line).collect();
        assert_eq!(written, text);
    }

    #[test]
    fn lines_of_a_newer_version_are_refused_and_versions_of_other_programs_ignored() {
        let of_version = |version: &str| GOOD.replace('{', &format!("{{\"version\":{version},"));
        let (text, hint) = error_of(&(GOOD.to_string() + &of_version("2")));
        assert!(text.contains("c.jsonl:2: written by a newer preftune (format 2; this one reads up to 1)"), "{text}");
        assert!(hint.contains("a newer one"), "{hint}");
        assert_eq!(parse(&of_version("\"2024-01\"")).unwrap().len(), 1);
        assert!(error_of("{\"version\":2,\"undo\":\"1\"}\n").0.contains("written by a newer preftune"));
    }

    #[test]
    fn errors_name_the_line() {
        let one_response = "{\"query\":\"a\",\"responses\":[\"b\"],\"best\":0}\n";
        let best_out_of_range = "{\"query\":\"a\",\"responses\":[\"b\",\"c\"],\"best\":2}\n";
        let order = "{\"query\":\"a\",\"responses\":[\"b\",\"c\"],\"best\":0,\"order\":[1,1]}\n";
        let no_best = "{\"query\":\"a\",\"responses\":[\"b\",\"c\"]}\n";
        for (bad, says) in [
            (one_response, "this one has 1"),
            (best_out_of_range, "best is 2, but the responses are numbered 0 to 1"),
            (order, "order does not name"),
            (no_best, "missing field `best`"),
            ("not json\n", "not the JSON"),
        ] {
            let (text, hint) = error_of(&format!("{GOOD}{bad}{GOOD}"));
            assert!(text.starts_with("c.jsonl:2: ") && text.contains(says), "{text}");
            assert!(!hint.is_empty());
        }
    }

    #[test]
    fn a_torn_last_line_may_be_deleted() {
        let (text, hint) = error_of(&format!("{GOOD}{}", &GOOD[..20]));
        assert!(text.starts_with("c.jsonl:2: "), "{text}");
        assert!(hint.contains("can be deleted"), "{hint}");
        let (_, hint) = error_of(&GOOD.repeat(2).replace('\n', "\r"));
        assert!(!hint.contains("can be deleted"), "all of the file is this line: {hint}");
        let (_, hint) = error_of(&format!("{}\n{GOOD}", &GOOD[..20]));
        assert!(!hint.contains("can be deleted"), "{hint}");
        let without_newline = format!("{GOOD}{}", GOOD.trim_end());
        assert_eq!(parse(&without_newline).unwrap().len(), 2);
    }

    fn any_comparison() -> impl Strategy<Value = Comparison> {
        let responses = prop::collection::vec(any::<String>(), 2..6);
        (responses, any::<[String; 4]>(), any::<[Option<u64>; 2]>(), any::<prop::sample::Index>()).prop_map(
            |(responses, [id, query, labeler, policy], [ms, at], index)| {
                let best = index.index(responses.len());
                let mut order: Vec<usize> = (0..responses.len()).collect();
                order.rotate_left(best);
                // A blank query is refused.
                let query = format!("{query}.");
                Comparison { id, query, responses, best, labeler, ms, at, policy, order }
            },
        )
    }

    /// The last answer is taken back, even where it chose nothing and an earlier one has the same id.
    #[test]
    fn an_answer_that_chose_nothing_is_taken_back_before_an_earlier_choice() {
        let line = GOOD.replace('}', ",\"id\":\"x\",\"labeler\":\"me\"}");
        let undecided = line.replace("\"best\":1", "\"best\":null");
        for undo in ["{\"undo\":\"x\",\"labeler\":\"me\"}\n", "{\"undo\":\"x\"}\n"] {
            assert_eq!(parse(&format!("{line}{undecided}{undo}")).unwrap().len(), 1);
            assert_eq!(parse(&format!("{line}{undecided}{undo}{undo}")).unwrap().len(), 0);
        }
        let without_id = GOOD.replace('}', ",\"labeler\":\"me\"}");
        assert_eq!(parse(&format!("{without_id}{{\"undo\":\"\",\"labeler\":\"me\"}}\n")).unwrap().len(), 0);
    }

    #[test]
    fn what_was_taken_back_or_never_decided_does_not_count() {
        let line = GOOD.replace('}', ",\"labeler\":\"ada\"}");
        let named = |id: &str, best| Comparison { id: id.into(), best, ..parse(&line).unwrap().remove(0) };
        let undo = |id: &str| Record::Undone(Undone { undo: id.into(), labeler: "ada".into(), at: Some(7) });
        let records = [
            Record::Judged(named("1", 0)),
            Record::Judged(named("2", 0)),
            Record::Undecided(named("3", 0)),
            undo("2"),
            Record::Judged(named("2", 1)),
            undo("unknown"),
        ];
        let text: String = records.iter().map(Record::to_line).collect();
        assert!(
            text.contains("\"best\":null")
                && text.contains("{\"version\":1,\"undo\":\"2\",\"labeler\":\"ada\",\"at\":7}"),
            "{text}"
        );
        assert_eq!(parse_records(&text, Path::new("c.jsonl")).unwrap(), records);
        assert_eq!(parse(&text).unwrap(), [named("1", 0), named("2", 1)]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(all in prop::collection::vec(any_comparison(), 0..4)) {
            let text: String = all.iter().map(Comparison::to_line).collect();
            prop_assert_eq!(text.lines().count(), all.len());
            prop_assert_eq!(parse(&text).unwrap(), all);
        }
    }
}
