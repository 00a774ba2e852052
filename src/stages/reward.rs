//! Figure 1, left, from the labels on.

use super::Session;
use crate::error::{Error, Result};
use crate::lm::Task;
use crate::reward::{FittedReward, RewardData, RewardTraining, TokenComparison, backward_that_fits};
use crate::run::{OutputFolder, RunDirectory};
use crate::statistics::{Interval, wilson_interval};

/// One to train on, and one to measure on.
const FEWEST: usize = 2;

/// What a fit came to.
#[derive(Debug)]
pub struct RewardFit {
    pub fitted: FittedReward,
    /// Accuracy of guessing.
    pub chance: f64,
    /// Comparisons trained on.
    pub comparisons: usize,
    pub held_out_comparisons: usize,
}

impl RewardFit {
    /// On comparisons of queries that it was not fitted to; `None` where there are none.
    pub fn held_out_accuracy(&self) -> Option<f64> {
        self.fitted.held_out.map(|step| step.accuracy)
    }

    /// The 95% interval around that accuracy: few comparisons say little.
    pub fn held_out_interval(&self) -> Interval {
        let count = self.held_out_comparisons;
        wilson_interval(self.held_out_accuracy().unwrap_or(0.0) * count as f64, count)
    }
}

/// Fits a reward model from the pretrained one, and writes it to `out`.
///
/// # Errors
/// [`crate::Error::Interrupted`] with the checkpoint to go on from, or what went wrong.
pub fn fit(
    session: &Session<'_>,
    comparisons: Vec<TokenComparison>,
    queries: &[Vec<u32>],
    out: &OutputFolder,
    directory: &RunDirectory,
) -> Result<RewardFit> {
    let Session { model, settings, interrupt, seed, room, progress } = *session;
    if comparisons.len() < FEWEST {
        let what = format!("{} comparisons; at least {FEWEST} are needed", comparisons.len());
        return Err(Error::usage(what, "make some with `preftune label`"));
    }
    let task = Task::new(&settings.task, model)?;
    let (backward, memory) = backward_that_fits(&settings.reward, &comparisons, queries, &task, model, room)?;
    progress.say(&format!("memory: about {}; {} comparisons in a pass", memory.describe(), backward.micro_batch_size));
    // Its folder tells that the fit has begun.
    let journal = directory.journal()?;
    let data = RewardData::new(model, &task, comparisons, queries, settings, seed, interrupt)?;
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
    out.write(&fitted.model.to_files(model)?, directory)?;
    Ok(RewardFit {
        fitted,
        chance: data.chance(),
        comparisons: data.train.len(),
        held_out_comparisons: data.held_out.len(),
    })
}
