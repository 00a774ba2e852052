//! Comparisons in the files of other programs.
//!
//! | format | an entry |
//! |---|---|
//! | this program's | `{"query", "responses", "best"}`, see [`super::comparisons`] |
//! | TRL | `{"prompt", "chosen", "rejected"}`; the prompt may be what both begin with; each may be a list of messages |
//! | Anthropic HH | `{"chosen", "rejected"}`, transcripts of `Human:` and `Assistant:` |
//! | Label Studio | a task with `data` and `annotations` of the `Pairwise` tag |
//!
//! Each format may be JSONL or one JSON array; the first entry decides the format of the whole file. The
//! original's best-of-4 files hold token ids and are read by [`super::openai`].

mod conversation;
mod label_studio;
mod pairs;
mod surviving;

use std::collections::VecDeque;
use std::io::BufRead;
use std::path::Path;

use serde_json::Value;

use super::comparisons::{Comparison, LINE_HINT, Record};
use super::entries::Entries;
use super::left_out::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::format_version::{FormatVersion, NEWER_HINT};
use label_studio::LabelStudio;
use surviving::Surviving;

pub use pairs::to_trl;

/// The format of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Comparisons,
    Pairs,
    LabelStudio,
}

impl Format {
    fn of(entry: &Value) -> std::result::Result<Self, String> {
        let has = |field| entry.get(field).is_some();
        match () {
            () if has("responses") || has("undo") => Ok(Self::Comparisons),
            () if has("chosen") => Ok(Self::Pairs),
            () if has("annotations") => Ok(Self::LabelStudio),
            () if has("completion") && has("label") => Err(
                "unpaired preferences (as for KTO): one response and whether it is good, nothing to compare it with"
                    .into(),
            ),
            () => {
                let fields: Vec<&String> = entry.as_object().into_iter().flat_map(|fields| fields.keys()).collect();
                Err(format!("neither comparisons nor preferences in a format that is known: the fields are {fields:?}"))
            }
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Comparisons => LINE_HINT,
            Self::Pairs => "a pair is {\"prompt\": \"…\", \"chosen\": \"…\", \"rejected\": \"…\"}",
            Self::LabelStudio => {
                "export the project as JSON, not JSON-MIN; of several questions, name the one that counts with --question"
            }
        }
    }
}

/// The next item of a file of preferences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preference {
    /// The next comparison. Without an id in the file, its id is the file's name and the line, followed from
    /// the second entry of a line on by the entry's number in that line.
    Chosen(Comparison),
    /// The number of a comparison that was taken back, from 0 in order of appearance.
    TakenBack(usize),
}

/// A reader of a file in any format of this module, an entry at a time.
pub struct PreferenceReader<R> {
    entries: Entries<R>,
    name: String,
    format: Option<Format>,
    /// The question of Label Studio that counts, if there are several.
    question: Option<String>,
    label_studio: LabelStudio,
    surviving: Surviving,
    read: VecDeque<Preference>,
    left_out: LeftOut,
    /// The line of the last entry, and the number of entries that began in that line so far.
    line: (usize, usize),
}

impl<R: BufRead> PreferenceReader<R> {
    /// Makes a reader of these entries. In tasks of Label Studio with several questions, the answers to
    /// `question` count.
    pub fn new(entries: Entries<R>, question: Option<&str>) -> Self {
        let name = entries.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            entries,
            name,
            format: None,
            question: question.map(String::from),
            label_studio: LabelStudio::about(question),
            surviving: Surviving::default(),
            read: VecDeque::new(),
            left_out: LeftOut::default(),
            line: (0, 0),
        }
    }

    /// Returns the counts of what was left out so far.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    fn read_entry(&mut self, (line, entry): (usize, Value)) -> Result<()> {
        let path = self.entries.path();
        let format = match self.format {
            Some(format) => format,
            None => {
                let format = Format::of(&entry)
                    .map_err(|what| Error::line(path, line, what, "datasets/README.md shows the formats"))?;
                if let Some(question) = &self.question
                    && format != Format::LabelStudio
                {
                    let what = format!("there is no question {question:?}: only tasks of Label Studio have questions");
                    return Err(Error::line(path, line, what, "leave --question out"));
                }
                *self.format.insert(format)
            }
        };
        if let (Format::Comparisons, Some(fault)) = (format, FormatVersion::fault_in(&entry)) {
            return Err(Error::line(path, line, fault, NEWER_HINT));
        }
        let records = match format {
            Format::Comparisons => Record::of(entry).map(|record| vec![record]).map_err(|fault| fault.to_string()),
            Format::Pairs => pairs::record(entry, &mut self.left_out).map(|record| record.into_iter().collect()),
            Format::LabelStudio => {
                let found = self.label_studio.comparisons(entry, &mut self.left_out);
                found.map(|all| all.into_iter().map(Record::Judged).collect())
            }
        };
        let sound = |records: Vec<Record>| records.iter().find_map(Record::fault).map_or(Ok(records), Err);
        let records = records.and_then(sound).map_err(|what| Error::line(path, line, what, format.hint()))?;
        self.line = (line, if self.line.0 == line { self.line.1 + 1 } else { 1 });
        records.into_iter().for_each(|record| self.take(record));
        Ok(())
    }

    /// Returns the fault that shows only after the whole file was read.
    fn fault_of_all(&self) -> Option<Error> {
        let what = self.label_studio.fault()?;
        Some(Error::input(self.entries.path(), what, "name one of these with --question"))
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Judged(mut comparison) => {
                // Noted under the id in the file, which is what a line that takes the comparison back names.
                self.surviving.judged(&comparison, &mut self.left_out);
                if comparison.id.is_empty() {
                    comparison.id = match self.line {
                        (line, 1) => format!("{}:{line}", self.name),
                        (line, entry) => format!("{}:{line}:{entry}", self.name),
                    };
                }
                self.read.push_back(Preference::Chosen(comparison));
            }
            Record::Undecided(answer) => self.surviving.undecided(&answer, &mut self.left_out),
            Record::Undone(undone) => {
                let number = self.surviving.undone(&undone, &mut self.left_out);
                self.read.extend(number.map(Preference::TakenBack));
            }
        }
    }
}

impl<R: BufRead> Iterator for PreferenceReader<R> {
    type Item = Result<Preference>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(read) = self.read.pop_front() {
                return Some(Ok(read));
            }
            let Some(entry) = self.entries.next() else { return self.fault_of_all().map(Err) };
            if let Err(error) = entry.and_then(|entry| self.read_entry(entry)) {
                return Some(Err(error));
            }
        }
    }
}

/// The contents of a file of preferences, up to its first bad entry.
#[derive(Debug)]
pub struct Preferences {
    /// The comparisons; one without an id in the file has the file's name and the line as its id.
    pub comparisons: Vec<Comparison>,
    pub left_out: LeftOut,
    /// Error of the entry after the comparisons, if it is bad.
    pub fault: Option<Error>,
}

impl Preferences {
    /// Reads a whole file into memory.
    pub fn read(mut reader: PreferenceReader<impl BufRead>) -> Self {
        let mut comparisons = Vec::new();
        let read = reader.by_ref().map(|read| {
            match read? {
                Preference::Chosen(comparison) => comparisons.push(Some(comparison)),
                Preference::TakenBack(number) => drop(comparisons.get_mut(number).and_then(Option::take)),
            }
            Ok(())
        });
        let fault = read.filter_map(Result::err).next();
        Self { comparisons: comparisons.into_iter().flatten().collect(), left_out: reader.left_out.clone(), fault }
    }

    /// Counts the entries in which nobody chose, or whose responses are the same text.
    pub fn undecided(&self) -> usize {
        self.left_out.number(Reason::Undecided) + self.left_out.number(Reason::SameResponses)
    }

    /// Returns the comparisons of a file without a bad entry.
    ///
    /// # Errors
    /// [`Error::Input`] with the line of the first bad entry.
    pub fn into_result(self) -> Result<Vec<Comparison>> {
        self.fault.map_or(Ok(self.comparisons), Err)
    }
}

/// Reads preferences from a text in memory; `path` is named in errors.
pub fn read_text(text: &str, path: &Path) -> Preferences {
    Preferences::read(PreferenceReader::new(Entries::new(text.as_bytes(), path), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Preferences {
        read_text(text, Path::new("folder/pairs.jsonl"))
    }

    fn only(text: &str) -> Comparison {
        let mut read = read(text).into_result().unwrap();
        assert_eq!(read.len(), 1, "{read:?}");
        read.remove(0)
    }

    fn parts(comparison: &Comparison) -> (&str, Vec<&str>, usize) {
        (&comparison.query, comparison.responses.iter().map(String::as_str).collect(), comparison.best)
    }

    /// The examples of TRL's documentation ("Dataset formats and types").
    #[test]
    fn trl_as_its_documentation_has_it() {
        let expected = ("The sky is", vec![" blue.", " green."], 0);
        let explicit = only(r#"{"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}"#);
        assert_eq!(parts(&explicit), expected);
        assert_eq!(explicit.id, "pairs.jsonl:1");
        assert_eq!(parts(&only(r#"{"chosen": "The sky is blue.", "rejected": "The sky is green."}"#)), expected);

        let conversation =
            ("\n\nHuman: What color is the sky?\n\nAssistant:", vec![" It is blue.", " It is green."], 0);
        let prompt = r#"{"role": "user", "content": "What color is the sky?"}"#;
        let [blue, green] = ["blue", "green"].map(|c| format!(r#"{{"role": "assistant", "content": "It is {c}."}}"#));
        let explicit = format!(r#"{{"prompt": [{prompt}], "chosen": [{blue}], "rejected": [{green}]}}"#);
        assert_eq!(parts(&only(&explicit)), conversation);
        let implicit = format!(r#"{{"chosen": [{prompt}, {blue}], "rejected": [{prompt}, {green}]}}"#);
        assert_eq!(parts(&only(&implicit)), conversation);
        // As UltraFeedback is often published: the prompt as text, and again as the first message.
        let both = implicit.replacen('{', "{\"prompt\": \"What color is the sky?\", ", 1);
        assert_eq!(parts(&only(&both)), conversation);
        let text_and_messages =
            format!(r#"{{"prompt": "What color is the sky?", "chosen": [{blue}], "rejected": [{green}]}}"#);
        assert_eq!(parts(&only(&text_and_messages)), conversation);
    }

    #[test]
    fn entries_of_one_line_have_ids_of_their_own() {
        let pair = r#"{"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}"#;
        let read = read(&format!("[{pair}, {pair},\n{pair}]")).into_result().unwrap();
        let ids: Vec<&str> = read.iter().map(|comparison| comparison.id.as_str()).collect();
        assert_eq!(ids, ["pairs.jsonl:1", "pairs.jsonl:1:2", "pairs.jsonl:2"]);
    }

    /// Checks the rules of the label log: a line that takes an answer back names the id in the file, and means
    /// the last of several answers.
    #[test]
    fn what_was_taken_back_does_not_count_where_ids_are_missing_or_double_either() {
        let line = |query: &str, rest: &str| {
            format!("{{\"query\":\"{query}\",\"responses\":[\" a\",\" b\"],\"labeler\":\"me\",{rest}}}\n")
        };
        let undo = |id: &str| format!("{{\"undo\":\"{id}\",\"labeler\":\"me\"}}\n");
        let without_ids = line("One.", "\"best\":0") + &undo("") + &line("One.", "\"best\":1");
        assert_eq!(only(&without_ids).best, 1);
        for id in ["", "\"id\":\"x\","] {
            let both = line("One.", &format!("{id}\"best\":0")) + &line("Two.", &format!("{id}\"best\":null"));
            assert_eq!(only(&(both + &undo(if id.is_empty() { "" } else { "x" }))).query, "One.");
        }
    }

    #[test]
    fn a_prompt_that_the_texts_repeat_is_taken_off() {
        let expected = ("The sky is", vec![" blue.", " green."], 0);
        let repeated = r#"{"prompt": "The sky is", "chosen": "The sky is blue.", "rejected": "The sky is green."}"#;
        assert_eq!(parts(&only(repeated)), expected);
        let [prompt, blue, green] = [("user", "Which?"), ("assistant", "Blue."), ("assistant", "Green.")]
            .map(|(role, content)| format!(r#"{{"role": "{role}", "content": "{content}"}}"#));
        let system = r#"{"role": "system", "content": "Be brief."}"#;
        let line = format!(
            r#"{{"prompt": "Which? ", "chosen": [{system}, {prompt}, {blue}], "rejected": [{system}, {prompt}, {green}]}}"#
        );
        let query = "\n\nSystem: Be brief.\n\nHuman: Which?\n\nAssistant:";
        assert_eq!(parts(&only(&line)), (query, vec![" Blue.", " Green."], 0));
    }

    #[test]
    fn a_transcript_of_hh_is_split_before_the_last_answer_that_both_give() {
        let line = r#"{"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Tea?\n\nAssistant: I'd love some.",
            "rejected": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Tea?\n\nAssistant: I'd rather not."}"#;
        let expected = (
            "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Tea?\n\nAssistant:",
            vec![" I'd love some.", " I'd rather not."],
            0,
        );
        assert_eq!(parts(&only(&line.replace("\n            ", " "))), expected);
        assert_eq!(parts(&only(&format!("[{line}]"))), expected);
    }

    const TASK: &str = r#"{"id": 7, "data": {"prompt": "The quick brown fox", "answer1": "jumps over the lazy dog.",
        "answer2": "bags few lynx."}, "annotations": [
        {"id": 31, "completed_by": 2, "was_cancelled": false, "lead_time": 4.25, "result": [
            {"from_name": "comparison", "to_name": "answer1,answer2", "type": "pairwise", "value": {"selected": "right"}}]},
        {"id": 32, "completed_by": {"email": "ada@example.org"}, "was_cancelled": false, "result": [
            {"from_name": "comparison", "to_name": "answer1,answer2", "type": "pairwise", "value": {"selected": "answer1"}}]},
        {"id": 33, "completed_by": 2, "was_cancelled": true, "result": []}]}"#;

    #[test]
    fn every_annotation_of_label_studio_is_a_comparison() {
        let read = read(&format!("[{TASK}]")).into_result().unwrap();
        let [first, second] = read.as_slice() else { panic!("{read:?}") };
        let responses = vec![" jumps over the lazy dog.", " bags few lynx."];
        assert_eq!(parts(first), ("The quick brown fox", responses.clone(), 1));
        assert_eq!(parts(second), ("The quick brown fox", responses, 0));
        assert_eq!((first.labeler.as_str(), first.ms, first.id.as_str()), ("2", Some(4250), "label-studio-31"));
        assert_eq!((second.labeler.as_str(), second.ms), ("ada@example.org", None));
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_before_it_is_lost() {
        let good = r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#;
        let cases = [
            (r#"{"prompt": "a", "chosen": "b"}"#, "missing field `rejected`"),
            (r#"{"prompt": " ", "chosen": "b", "rejected": "c"}"#, "the query is blank"),
            (r#"{"chosen": "b", "rejected": "c"}"#, "begin differently"),
            (r#"{"prompt": "a", "chosen": 3, "rejected": "b"}"#, "neither text nor a list of messages"),
            ("{\"prompt\": \"a\"", "not the JSON expected here"),
        ];
        for (bad, says) in cases {
            let in_lines = read(&format!("{good}\n\n{bad}\n{good}\n"));
            let in_an_array = read(&format!("[{good},\n\n{bad},\n{good}]"));
            for Preferences { comparisons, fault, left_out: _ } in [in_lines, in_an_array] {
                assert_eq!(comparisons.len(), 1);
                let error = fault.unwrap();
                assert!(error.to_string().starts_with("folder/pairs.jsonl:3: "), "{error}");
                assert!(error.to_string().contains(says), "{error} should say {says}");
                assert_eq!(error.exit_code(), 4);
            }
        }
        let newer =
            read(r#"{"version": 2, "query": "a", "responses": ["b", "c"], "best": 0}"#).into_result().unwrap_err();
        assert!(newer.to_string().contains("pairs.jsonl:1: written by a newer preftune"), "{newer}");
        assert!(newer.hint().contains("a newer one"), "{}", newer.hint());
        assert!(read("{\"text\": 1}").into_result().unwrap_err().to_string().contains("format that is known"));
        let undecided = read(r#"{"prompt": "a", "chosen": "b", "rejected": "b"}"#);
        assert_eq!((undecided.undecided(), undecided.into_result().unwrap().len()), (1, 0));
        let entry = |best: &str| format!(r#"{{"id": "1", "query": "a", "responses": ["b", "c"], "best": {best}}}"#);
        let taken_back = read(&format!("{}\n{{\"undo\": \"1\"}}\n{}\n", entry("null"), entry("1")));
        assert_eq!((taken_back.undecided(), taken_back.into_result().unwrap().len()), (0, 1));
        for unknown_field in
            [TASK.replace("\"answer1,answer2\"", "\"left,right\""), TASK.replace("\"right\"", "\"up\"")]
        {
            assert!(read(&unknown_field.replace('\n', " ")).fault.is_some());
        }
    }

    prop_compose! {
        /// Responses that differ from each other, as TRL's pairs must.
        fn comparison()(query in "[^\\s].{0,20}", stems in prop::collection::vec(".{0,12}", 2..6),
                        index in any::<prop::sample::Index>()) -> Comparison {
            let responses: Vec<String> = stems.iter().enumerate().map(|(n, stem)| format!("{stem} {n}")).collect();
            let best = index.index(responses.len());
            let line = serde_json::json!({"query": query, "responses": responses, "best": best});
            serde_json::from_value(line).unwrap()
        }
    }

    proptest! {
        #[test]
        fn trl_pairs_come_back_as_they_went(comparison in comparison()) {
            let lines = to_trl(&comparison);
            let read = read(&lines).into_result().unwrap();
            prop_assert_eq!(read.len(), comparison.responses.len() - 1);
            let chosen = &comparison.responses[comparison.best];
            let mut rejected = comparison.responses.clone();
            rejected.remove(comparison.best);
            for (pair, rejected) in read.iter().zip(rejected) {
                prop_assert_eq!(&pair.query, &comparison.query);
                prop_assert_eq!(&pair.responses, &vec![chosen.clone(), rejected]);
                prop_assert_eq!(pair.best, 0);
            }
            prop_assert_eq!(read.iter().map(to_trl).collect::<String>(), lines);
        }

        #[test]
        fn a_file_of_anything_is_read_or_refused(text in any::<String>()) {
            let read = read(&text);
            prop_assert_eq!(read.comparisons.len() + usize::from(read.fault.is_some()) == 0, text.trim().is_empty());
        }
    }
}
