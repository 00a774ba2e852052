//! Figure 1, left, from the labels on.

use super::Session;
use super::passes::settled;
use crate::error::{Error, Result};
use crate::lm::Task;
use crate::reward::{FittedReward, HeldOutAccuracy, RewardData, RewardTraining, TokenComparison, backward_that_fits};
use crate::run::{OutputFolder, RunDirectory};

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
    pub fn held_out(&self) -> Option<HeldOutAccuracy> {
        let accuracy = self.fitted.held_out?.accuracy;
        Some(HeldOutAccuracy { accuracy, comparisons: self.held_out_comparisons, chance: self.chance })
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
    let (fit, memory) = backward_that_fits(&settings.reward, &comparisons, queries, &task, model, room)?;
    let backward = settled(progress, directory, settings.reward.micro_batch_size, fit)?;
    progress.say(&format!("memory: about {}; {} comparisons in a pass", memory.describe(), backward.micro_batch_size));
    // Its folder tells that the fit has begun.
    let journal = directory.journal()?;
    let data = RewardData::new(model, &task, comparisons, queries, settings, seed, (interrupt, progress))?;
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
