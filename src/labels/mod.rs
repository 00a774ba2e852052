//! Labelers, questions and the label log: the labeler's side of Figure 1.
//!
//! A [`Labeler`] is shown a query with several responses and chooses the best. [`SimulatedLabeler`] is a sentiment
//! classifier in the place of people. People answer the questions of a [`LabelQueue`] at a terminal or on a web page.
//! [`LabelLog`] keeps one line for each comparison.

pub(crate) mod agreement;
pub mod classifier;
mod command_labeler;
mod instructions;
mod labelling;
pub(crate) mod log;
pub(crate) mod people;
pub(crate) mod question;
mod questions;
pub(crate) mod queue;
pub(crate) mod simulated;
#[cfg(feature = "cli")]
pub(crate) mod terminal;
#[cfg(feature = "web")]
pub mod web;

pub use agreement::{Agreement, Agreements};
pub use classifier::Classifier;
pub use command_labeler::CommandLabeler;
pub use instructions::{instructions, read_instructions};
pub use labelling::{Labelling, Ties};
pub use log::{Decision, LabelLog, LogLine};
pub use people::People;
pub use question::{Answer, Attribution, Question};
pub use questions::Questions;
pub use queue::{LabelProgress, LabelQueue, NextTask, QueueSettings, SharedQueue};
pub use simulated::SimulatedLabeler;

use crate::error::Result;

/// Describes a labeler by its name, as a part of a sentence.
pub(crate) fn describe_labeler(name: &str) -> String {
    match name {
        "simulated" => "the simulated labeler".into(),
        "people" | "the reward model" => name.into(),
        _ => format!("the labeler \"{name}\""),
    }
}

/// Labeler: a person, classifier or program that chooses the best of several responses to a query.
pub trait Labeler {
    /// Returns the name of the labeler, which every comparison records.
    fn name(&self) -> &str;

    /// Chooses the best of `responses` (at least one) to `query`.
    ///
    /// # Errors
    /// Fails when there is no response, and when a person stops labelling.
    fn judge(&mut self, query: &str, responses: &[String]) -> Result<Judgment>;

    /// Chooses the best responses to many queries. The judgments are in the order of `asked`, in whatever order the
    /// labeler answers.
    ///
    /// # Errors
    /// The errors of [`Self::judge`].
    fn judge_all(&mut self, asked: &[(String, Vec<String>)]) -> Result<Vec<Judgment>> {
        asked.iter().map(|(query, responses)| self.judge(query, responses)).collect()
    }

    /// Returns true if [`Self::judge_all`] must be given all questions at once, because people answer them in any
    /// order.
    fn wants_all_at_once(&self) -> bool {
        false
    }
}

/// A labeler's choice among responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgment {
    /// Index of the best response. Among equally good ones it is the first in the order given, which favours none if
    /// responses are shown in random order.
    pub best: usize,
    /// True if another response is exactly as good.
    pub tied: bool,
}

impl Judgment {
    /// Chooses the response with the highest of `scores`; returns `None` if there are none.
    ///
    /// A score that is not a number is never higher than another.
    pub fn of_highest(scores: &[f64]) -> Option<Self> {
        let highest = Self::all_highest(scores);
        highest.first().map(|&best| Self { best, tied: highest.len() > 1 })
    }

    /// Returns the indices of all responses with the highest score, or of all responses if no score is a number.
    pub fn all_highest(scores: &[f64]) -> Vec<usize> {
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let as_high: Vec<usize> = (0..).zip(scores).filter(|&(_, &score)| score >= highest).map(|(at, _)| at).collect();
        if as_high.is_empty() { (0..scores.len()).collect() } else { as_high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equally_good_responses_is_best() {
        let judgment = |best, tied| Some(Judgment { best, tied });
        assert_eq!(Judgment::of_highest(&[0.5, 2.0, -1.0]), judgment(1, false));
        assert_eq!(Judgment::of_highest(&[1.0, 2.0, 2.0]), judgment(1, true));
        assert_eq!(Judgment::of_highest(&[2.0, 2.0, 3.0]), judgment(2, false));
        assert_eq!(Judgment::of_highest(&[f64::NAN, -1.0]), judgment(1, false));
        assert_eq!(Judgment::of_highest(&[f64::NAN, f64::NAN]), judgment(0, true));
        assert_eq!(Judgment::of_highest(&[]), None);
    }
}
