//! Progress of labelling, as it is shown beside the questions.

use serde::Serialize;

use super::LabelQueue;
use super::supply::Supply;
use crate::labels::agreement::{Agreement, Agreements};

/// Progress of labelling, for one labeler.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelProgress {
    /// Unit of the progress: `labels`, on which a reward model is trained, or `pairs`, which are judged.
    pub unit: &'static str,
    pub labels: usize,
    pub wanted: usize,
    pub yours: usize,
    /// Median time of the labeler's choices in seconds.
    pub seconds_a_label: Option<f64>,
    pub agreement_with_self: Agreement,
    pub agreement_of_all: Agreement,
    /// True if labelers can stop the run.
    pub stop_switch: bool,
}

impl LabelQueue {
    /// Returns the progress of one labeler and of all labelers.
    pub fn progress(&self, labeler: &str) -> LabelProgress {
        let yours = self.log.choices().filter(|choice| *choice.labeler == *labeler);
        let mut ms: Vec<u64> = yours.clone().filter_map(|choice| choice.ms).collect();
        // In a fixed set, "cannot tell" counts like any answer.
        let (unit, yours) = match &self.supply {
            Supply::FixedSet(set) => {
                ("pairs", self.log.answers_of(labeler).filter(|answer| set.contains(&answer.id)).count())
            }
            Supply::OpenEnded(_) => ("labels", yours.count()),
        };
        ms.sort_unstable();
        let agreements = Agreements::of(self.log.choices());
        LabelProgress {
            unit,
            // Two people may have answered at the same time, so that there is one label too many.
            labels: self.supply.labels(&self.log, &self.labelers).min(self.supply.wanted()),
            wanted: self.supply.wanted(),
            yours,
            seconds_a_label: ms.get(ms.len() / 2).map(|&ms| ms as f64 / 1000.0),
            agreement_with_self: agreements.with_self.get(labeler).copied().unwrap_or_default(),
            agreement_of_all: agreements.with_others,
            stop_switch: self.stop_switch.is_some(),
        }
    }
}
