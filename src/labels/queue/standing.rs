//! How far labelling is, as it is shown beside the questions.

use serde::Serialize;

use super::LabelQueue;
use crate::labels::agreement::{Agreement, Agreements};

/// How far labelling is, for one labeler.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// `labels`, of which a reward model learns, or `pairs` that are judged.
    pub unit: &'static str,
    pub labels: usize,
    pub wanted: usize,
    pub yours: usize,
    /// Median over the labeler's answers.
    pub seconds_a_label: Option<f64>,
    pub agreement_with_self: Agreement,
    pub agreement_of_all: Agreement,
    /// Whether there is a run to stop.
    pub stop_switch: bool,
}

impl LabelQueue {
    /// How far this labeler and all of them are.
    pub fn standing(&self, labeler: &str) -> Standing {
        let yours = self.log.choices().filter(|choice| *choice.labeler == *labeler);
        let mut ms: Vec<u64> = yours.clone().filter_map(|choice| choice.ms).collect();
        // Among the last questions, "cannot tell" counts like any answer.
        let yours = match &self.last {
            Some(last) => self.log.answers_of(labeler).filter(|answer| last.contains(&*answer.id)).count(),
            None => yours.count(),
        };
        ms.sort_unstable();
        let agreements = Agreements::of(self.log.choices());
        Standing {
            unit: if self.last.is_some() { "pairs" } else { "labels" },
            // Two people may have answered at once.
            labels: self.labels().min(self.plan.wanted),
            wanted: self.plan.wanted,
            yours,
            seconds_a_label: ms.get(ms.len() / 2).map(|&ms| ms as f64 / 1000.0),
            agreement_with_self: agreements.with_self.get(labeler).copied().unwrap_or_default(),
            agreement_of_all: agreements.with_others,
            stop_switch: self.stop_switch.is_some(),
        }
    }
}
