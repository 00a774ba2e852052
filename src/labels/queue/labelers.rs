//! Labelers at a queue, by name.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use crate::labels::question::{Question, QuestionDigest};

/// All labelers that have asked for a question.
pub(super) type Labelers = BTreeMap<String, LabelerState>;

/// The state of one labeler.
#[derive(Debug, Default)]
pub(super) struct LabelerState {
    /// Question that the labeler is asked now.
    pub(super) before: Option<Question>,
    pub(super) skipped: HashSet<QuestionDigest>,
    /// Time of the labeler's last request, and whether the reply was that no more questions follow.
    pub(super) asked: Option<(Instant, bool)>,
}
