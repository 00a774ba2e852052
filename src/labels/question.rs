//! Questions for labelers, and their answers.

use sha2::{Digest, Sha256};

use crate::data::comparisons::{Comparison, Record};
use crate::error::{Error, Result};
#[cfg(any(feature = "cli", feature = "web"))]
use crate::sanitize::sanitize;

/// A query with several responses, of which the best is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Identifier of the question, unique in its log.
    pub id: String,
    pub query: String,
    pub responses: Vec<String>,
    /// The order on the screen: `order[place]` is an index into `responses`.
    pub order: Vec<usize>,
    /// Name of the policy that wrote the responses.
    pub policy: String,
}

/// The query and the responses of a question.
pub(crate) type Asked = (String, Vec<String>);

/// Identity of a question: a digest of the query and of the responses in the order in which these are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionDigest([u8; 16]);

impl QuestionDigest {
    /// Returns the first half of the SHA-256 of the query and the responses, each preceded by its length.
    pub fn of(query: &str, responses: &[String]) -> Self {
        let mut sha256 = Sha256::new();
        for text in std::iter::once(query).chain(responses.iter().map(String::as_str)) {
            sha256.update((text.len() as u64).to_le_bytes());
            sha256.update(text);
        }
        let mut half = [0; 16];
        half.iter_mut().zip(sha256.finalize()).for_each(|(to, from)| *to = from);
        Self(half)
    }
}

/// Answer of a labeler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Place of the best response on the screen, from 0.
    Best(usize),
    CannotTell,
}

/// Labeler and time of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attribution {
    pub labeler: String,
    /// Milliseconds from showing the question to the answer.
    pub ms: Option<u64>,
    /// Time of the answer in seconds since 1970-01-01 UTC.
    pub at: Option<u64>,
}

impl Question {
    /// Returns the digest of query and responses, by which two questions are recognized as the same.
    pub fn digest(&self) -> QuestionDigest {
        QuestionDigest::of(&self.query, &self.responses)
    }

    /// Returns the responses in the order on the screen.
    pub fn shown(&self) -> Vec<String> {
        self.order.iter().filter_map(|&index| self.responses.get(index)).cloned().collect()
    }

    /// Returns the log record of an answer.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no response at the chosen place.
    pub fn answered(&self, answer: Answer, attribution: Attribution) -> Result<Record> {
        let Attribution { labeler, ms, at } = attribution;
        let best = match answer {
            Answer::CannotTell => None,
            Answer::Best(place) => Some(self.order.get(place).copied().ok_or_else(|| {
                let what = format!("{labeler} chose response {place} of {}", self.order.len());
                Error::failed(what, "responses are numbered from 0")
            })?),
        };
        let Self { id, query, responses, order, policy } = self.clone();
        let comparison = Comparison { id, query, responses, best: best.unwrap_or(0), labeler, ms, at, policy, order };
        Ok(if best.is_some() { Record::Judged(comparison) } else { Record::Undecided(comparison) })
    }
}

impl From<&Comparison> for Question {
    fn from(comparison: &Comparison) -> Self {
        let Comparison { id, query, responses, order, policy, .. } = comparison.clone();
        let order = if order.is_empty() { (0..responses.len()).collect() } else { order };
        Self { id, query, responses, order, policy }
    }
}

/// Checks whether `name` may be a labeler's name: 1 to 64 visible characters, with no white space at the ends.
#[cfg(any(feature = "cli", feature = "web"))]
pub(crate) fn is_name(name: &str) -> bool {
    let is_visible = sanitize(name) == name && !name.contains('\n');
    is_visible && name.trim() == name && (1..=64).contains(&name.chars().count())
}
