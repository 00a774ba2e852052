//! Figure 1, left, from the labels on.

use std::path::Path;

use super::Session;
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::lm::Task;
use crate::reward::{FittedReward, RewardData, RewardTraining, TokenComparison, backward_that_fits, split};
use crate::run::{RunDirectory, files};
use crate::statistics::Interval;

/// One to train on, and one to measure on.
const FEWEST: usize = 2;

/// What a fit came to.
#[derive(Debug)]
pub struct RewardFit {
    pub fitted: FittedReward,
    /// Accuracy of guessing.
    pub chance: f64,
    /// Comparisons that train.
    pub comparisons: usize,
    pub held_out_comparisons: usize,
    /// Comparisons that do neither, and what was cut of them.
    pub left_out: LeftOut,
}

impl RewardFit {
    /// On comparisons of queries that it was not fitted to; `None` where there are none.
    pub fn held_out_accuracy(&self) -> Option<f64> {
        self.fitted.held_out.map(|step| step.accuracy)
    }

    /// The 95% interval around that accuracy: few comparisons say little.
    pub fn held_out_interval(&self) -> Interval {
        self.fitted.held_out.unwrap_or_default().accuracy_interval(self.held_out_comparisons)
    }

    /// Whether the interval lies beside the accuracy of guessing, and does not contain it.
    pub fn differs_from_guessing(&self) -> bool {
        let Interval { low, high } = self.held_out_interval();
        self.held_out_comparisons > 0 && !(low..=high).contains(&self.chance)
    }

    /// The accuracy in words, with its interval and what it is to be compared with.
    pub fn describe_accuracy(&self) -> String {
        let Some(accuracy) = self.held_out_accuracy() else {
            return "not measured: every query trains".into();
        };
        let Interval { low, high } = self.held_out_interval();
        let [accuracy, low, high, chance] = [accuracy, low, high, self.chance].map(|share| 100.0 * share);
        let doubt = if self.differs_from_guessing() { "" } else { ": it cannot be told from guessing" };
        format!(
            "{accuracy:.1}% (95% interval {low:.1} to {high:.1}) on {} comparisons of queries not trained on (guessing: \
             {chance:.0}%){doubt}",
            self.held_out_comparisons
        )
    }
}

/// Fits a reward model from the pretrained one, and writes it to `out`. What was left out of the comparisons
/// before is said together with what is left out here.
///
/// # Errors
/// [`crate::Error::Interrupted`] with the checkpoint to go on from, or what went wrong.
pub fn fit(
    session: &Session<'_>,
    comparisons: Vec<TokenComparison>,
    mut left_out: LeftOut,
    queries: &[Vec<u32>],
    out: &Path,
    directory: &RunDirectory,
) -> Result<RewardFit> {
    let Session { model, settings, interrupt, seed, room, progress } = *session;
    if comparisons.len() < FEWEST {
        let what = format!("{} comparisons; at least {FEWEST} are needed", comparisons.len());
        return Err(Error::usage(with_reasons(what, &left_out), "make some with `preftune label`"));
    }
    let task = Task::new(&settings.task, model)?;
    let (backward, memory) = backward_that_fits(&settings.reward, &comparisons, queries, &task, model, room)?;
    progress.say(&format!("memory: about {}; {} comparisons in a pass", memory.describe(), backward.micro_batch_size));
    // Its folder tells that the fit has begun.
    let journal = directory.journal()?;
    let sides = split(comparisons, settings, seed, &mut left_out);
    let data = RewardData::new(model, &task, sides, queries, settings, seed, interrupt)?;
    left_out.count(Reason::NoFullBatch, data.without_batch(settings.reward.batch_size));
    left_out.say("comparisons");
    let training = RewardTraining {
        settings: &settings.reward,
        backward,
        pretrained: model,
        data: &data,
        seed,
        journal,
        interrupt: interrupt.clone(),
        progress,
    };
    let fitted = training.run()?;
    files::write_folder(out, fitted.model.to_files(model)?)?;
    Ok(RewardFit {
        fitted,
        chance: data.chance(),
        comparisons: data.train.len(),
        held_out_comparisons: data.held_out.len(),
        left_out,
    })
}

/// What there is too little of, and why.
pub fn with_reasons(what: String, left_out: &LeftOut) -> String {
    if left_out.is_empty() { what } else { format!("{what} ({left_out})") }
}
