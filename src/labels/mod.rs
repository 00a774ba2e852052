//! Who chooses: the labeler's side of Figure 1.
//!
//! A [`Labeler`] is shown a query with several responses and says which is best.
//! [`SimulatedLabeler`] is a sentiment classifier that stands in for people, who answer from a
//! [`LabelQueue`]: at a terminal, or on a web page. What any of them decided is kept by [`LabelLog`], one line a judgment.

pub mod agreement;
pub mod classifier;
mod command_labeler;
mod labelling;
pub mod log;
pub mod people;
pub mod question;
mod questions;
pub mod queue;
pub mod simulated;
pub mod terminal;
#[cfg(feature = "web")]
pub mod web;

pub use agreement::{Agreement, Agreements};
pub use classifier::Classifier;
pub use command_labeler::CommandLabeler;
pub use labelling::{Labelling, Ties};
pub use log::{Decision, LabelLog, LogLine};
pub use people::People;
pub use question::{Answer, Attribution, Question};
pub use questions::Questions;
pub use queue::{LabelQueue, NextTask, QueueSettings, SharedQueue, Standing};
pub use simulated::SimulatedLabeler;

use crate::error::Result;

/// What to choose, as it ships: `sentiment` and `descriptiveness` are the paper's two styles.
pub fn instructions(name: &str) -> Option<&'static str> {
    match name {
        "sentiment" => Some(include_str!("../../datasets/instructions/sentiment.txt")),
        "descriptiveness" => Some(include_str!("../../datasets/instructions/descriptiveness.txt")),
        _ => None,
    }
}

/// Chooses the best of several responses to a query.
pub trait Labeler {
    /// Who judged, as it is written into every comparison.
    fn name(&self) -> &str;

    /// The best of `responses` (at least one) to `query`.
    ///
    /// # Errors
    /// When there is nothing to choose from, or when a person stops labelling.
    fn judge(&mut self, query: &str, responses: &[String]) -> Result<Judgment>;

    /// The same for many queries with their responses: one judgment each, in the order given, whatever
    /// the order in which they are looked at.
    ///
    /// # Errors
    /// As [`Self::judge`].
    fn judge_all(&mut self, asked: &[(String, Vec<String>)]) -> Result<Vec<Judgment>> {
        asked.iter().map(|(query, responses)| self.judge(query, responses)).collect()
    }

    /// Whether [`Self::judge_all`] must see all questions there are, because whoever answers takes them in
    /// any order.
    fn wants_all_at_once(&self) -> bool {
        false
    }
}

/// A labeler's choice among responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgment {
    /// The index of the best response; among equally good ones the first in the order given, in which none is
    /// favoured where responses are shown in random order.
    pub best: usize,
    /// Whether another response is exactly as good.
    pub tied: bool,
}

impl Judgment {
    /// The choice of the highest of `scores`; `None` when there are none.
    ///
    /// A score that is not a number is never higher than another.
    pub fn of_highest(scores: &[f64]) -> Option<Self> {
        let highest = Self::all_highest(scores);
        highest.first().map(|&best| Self { best, tied: highest.len() > 1 })
    }

    /// The places of all responses with the highest score; of all, if no score is a number.
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
