//! Counts of texts and comparisons that were left out, shortened or decided by a rule on the way from a file to tokens.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::platform::Mode;

/// The reason why a text or a comparison does not count as it stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    BlankLines,
    RepeatedQueries,
    PassagesWithoutSentence,
    OtherFiles,
    CleanedBytes,
    EmptyTexts,
    SentencesOfBothKinds,
    Undecided,
    SameResponses,
    SamePairs,
    TakenBack,
    NothingToTakeBack,
    RepeatedIds,
    CancelledAnnotations,
    AnnotationsWithoutChoice,
    OtherQuestions,
    PredictionsAndDrafts,
    AnnotatorsDisagree,
    EqualScores,
    RepeatedPrompts,
    ChangedAsText,
    QueriesChangedAsText,
    FurtherTurns,
    QueriesEndedEarly,
    EmptyResponses,
    SameTokens,
    BestHasTwin,
    QueryTrains,
    NoFullBatch,
    EmptyChosen,
}

impl Reason {
    /// Returns the words before the count of this reason.
    fn words(self) -> &'static str {
        match self {
            Self::BlankLines => "blank lines skipped",
            Self::RepeatedQueries => "repeated queries left out",
            Self::PassagesWithoutSentence => {
                "passages of books skipped because they have no whole sentence that is short enough"
            }
            Self::OtherFiles => "files of the folder not read because they are not .txt",
            Self::CleanedBytes => "bytes left out by cleaning (headers and footers, line breaks, indentation)",
            Self::EmptyTexts => "texts without a word",
            Self::SentencesOfBothKinds => "sentences that are both positive and negative",
            Self::Undecided => "entries left out in which nobody chose",
            Self::SameResponses => "entries left out whose responses are the same text",
            Self::SamePairs => "pairs left out whose two responses are the same text",
            Self::TakenBack => "comparisons taken back",
            Self::NothingToTakeBack => "lines that take back a comparison that does not exist",
            Self::RepeatedIds => "comparisons that share their id and labeler, all of which count",
            Self::CancelledAnnotations => "annotations left out because they were cancelled",
            Self::AnnotationsWithoutChoice => "annotations left out because nothing was chosen in them",
            Self::OtherQuestions => "annotations left out because they answer other questions only",
            Self::PredictionsAndDrafts => "predictions and drafts left out",
            Self::AnnotatorsDisagree => "tasks whose annotators disagree, all of whom count",
            Self::EqualScores => "pairs whose two scores are equal, which count as they are",
            Self::RepeatedPrompts => "pairs whose two texts began with their prompt, which was taken off",
            Self::ChangedAsText => "comparisons whose token ids change when their text is encoded again",
            Self::QueriesChangedAsText => "queries whose token ids change when their text is encoded again",
            Self::FurtherTurns => "pairs whose responses continue with further turns of the dialogue",
            Self::QueriesEndedEarly => "queries that end at task.query_end_token, without the text after it",
            Self::EmptyResponses => "responses without a token",
            Self::SameTokens => "comparisons left out because all their responses are the same tokens",
            Self::BestHasTwin => "comparisons in which another response is the same as the best, a tie",
            Self::QueryTrains => "comparisons left out because their query is in the training set",
            Self::NoFullBatch => "comparisons left out because they do not fill a batch",
            Self::EmptyChosen => "comparisons left out because the chosen response has no token",
        }
    }
}

/// Texts that were longer than a setting allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cut {
    pub cut: usize,
    /// Number of all texts that were read, shortened or not.
    pub of: usize,
    pub longest_tokens: usize,
    pub to_tokens: usize,
}

impl Cut {
    /// Counts a text of `length` tokens, of which at most `limit` are kept.
    pub fn count(&mut self, length: usize, limit: usize) {
        self.of += 1;
        self.cut += usize::from(length > limit);
        self.longest_tokens = self.longest_tokens.max(length);
        self.to_tokens = self.to_tokens.max(limit);
    }

    fn add(&mut self, other: &Self) {
        self.of += other.of;
        self.cut += other.cut;
        self.longest_tokens = self.longest_tokens.max(other.longest_tokens);
        self.to_tokens = self.to_tokens.max(other.to_tokens);
    }

    fn is_empty(&self) -> bool {
        self.cut == 0
    }

    fn describe(&self, what: &str, setting: &str) -> Option<String> {
        let Self { cut, of, longest_tokens, to_tokens } = self;
        (!self.is_empty()).then(|| {
            format!(
                "{what} shortened to {to_tokens} tokens ({setting}): {cut} of {of}, the longest of {longest_tokens} \
                 tokens"
            )
        })
    }
}

/// Counts of what was left out, shortened or decided by a rule. The `Display` text is one line of the counts
/// that are not 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    #[serde(flatten)]
    counts: BTreeMap<Reason, usize>,
    #[serde(skip_serializing_if = "Cut::is_empty")]
    pub queries_cut: Cut,
    #[serde(skip_serializing_if = "Cut::is_empty")]
    pub responses_cut: Cut,
}

impl LeftOut {
    /// Adds `more` to the count of a reason.
    pub fn count(&mut self, reason: Reason, more: usize) {
        if more > 0 {
            *self.counts.entry(reason).or_default() += more;
        }
    }

    /// Subtracts one from the count of a reason.
    pub(super) fn uncount(&mut self, reason: Reason) {
        if let Some(count) = self.counts.get_mut(&reason) {
            *count = count.saturating_sub(1);
        }
        self.counts.retain(|_, count| *count > 0);
    }

    /// Returns the count of a reason.
    pub fn number(&self, reason: Reason) -> usize {
        self.counts.get(&reason).copied().unwrap_or(0)
    }

    /// Adds the counts of another part of the work.
    pub fn add(&mut self, other: &Self) {
        other.counts.iter().for_each(|(&reason, &count)| self.count(reason, count));
        self.queries_cut.add(&other.queries_cut);
        self.responses_cut.add(&other.responses_cut);
    }

    /// Writes the counts to stderr in one line, even where progress is not shown; writes nothing where all are 0.
    pub fn say(&self, whose: &str) {
        if !self.is_empty() {
            Mode::Shown.say(&format!("{whose}: {self}"));
        }
    }

    /// Checks whether everything counts as it stands in its file.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.queries_cut.is_empty() && self.responses_cut.is_empty()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cuts = [
            self.queries_cut.describe("queries", "task.query_length_tokens"),
            self.responses_cut.describe("responses", "task.response_length_tokens"),
        ];
        let counts = self.counts.iter().map(|(reason, count)| format!("{}: {count}", reason.words()));
        let parts: Vec<String> = cuts.into_iter().flatten().chain(counts).collect();
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_0_is_said_in_a_line_and_in_json() {
        let mut left_out = LeftOut::default();
        left_out.queries_cut.count(8, 16);
        assert!(left_out.is_empty() && left_out.to_string().is_empty());
        assert_eq!(serde_json::to_string(&left_out).unwrap(), "{}");
        left_out.queries_cut.count(91, 16);
        left_out.count(Reason::SameTokens, 3);
        left_out.count(Reason::Undecided, 1);
        left_out.uncount(Reason::Undecided);
        assert_eq!(
            left_out.to_string(),
            "queries shortened to 16 tokens (task.query_length_tokens): 1 of 2, the longest of 91 tokens; \
             comparisons left out because all their responses are the same tokens: 3"
        );
        let mut twice = left_out.clone();
        twice.add(&left_out);
        assert_eq!(
            serde_json::to_value(&twice).unwrap(),
            serde_json::json!({"same_tokens": 6, "queries_cut":
                {"cut": 2, "of": 4, "longest_tokens": 91, "to_tokens": 16}})
        );
    }
}
