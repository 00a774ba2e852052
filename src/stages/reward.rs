//! Reward training stage (Figure 1, left).

use super::Session;
use super::fixed_backward::fixed_backward;
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::reward::sample_for_normalization;
use crate::reward::{
    HeldOutAccuracy, RewardData, RewardTraining, TokenComparison, TrainedRewardModel, backward_that_fits, split,
};
use crate::run::{OutputFolder, RunDirectory};
use crate::task::Task;

/// Smallest number of comparisons: one to train on, and one to measure on.
const FEWEST: usize = 2;

/// Result of reward training.
#[derive(Debug)]
pub struct RewardOutcome {
    pub fitted: TrainedRewardModel,
    /// Accuracy of guessing.
    pub chance: f64,
    /// Number of comparisons in the training set.
    pub comparisons: usize,
    pub held_out_comparisons: usize,
    /// Counts of comparisons in neither set, and of shortened ones.
    pub left_out: LeftOut,
}

impl RewardOutcome {
    /// Returns the accuracy on the held-out set; `None` if no comparison is held out.
    pub fn held_out(&self) -> Option<HeldOutAccuracy> {
        let accuracy = self.fitted.held_out?.accuracy;
        Some(HeldOutAccuracy { accuracy, comparisons: self.held_out_comparisons, chance: self.chance })
    }

    /// Describes the held-out accuracy in words.
    pub fn describe_accuracy(&self) -> String {
        self.held_out().map_or_else(|| "not measured: no query was held out".into(), |held_out| held_out.to_string())
    }
}

/// Trains a reward model from the pretrained one, and writes it to `out`. The report of
/// left-out comparisons includes those that the caller left out before, `left_out`.
///
/// # Errors
/// [`crate::Error::Interrupted`] with the checkpoint to resume from, or any other error that stops the training.
pub fn train_reward(
    session: &Session<'_>,
    comparisons: Vec<TokenComparison>,
    mut left_out: LeftOut,
    queries: &[Vec<u32>],
    out: &OutputFolder,
    directory: &RunDirectory,
) -> Result<RewardOutcome> {
    let Session { model, settings, interrupt, seed, device_memory, progress } = *session;
    if comparisons.len() < FEWEST {
        let what = format!("{} comparisons; at least {FEWEST} are needed", comparisons.len());
        return Err(Error::usage(with_reasons(what, &left_out), "make some with `preftune label`"));
    }
    let task = Task::new(&settings.task, model)?;
    let (fit, memory) = backward_that_fits(&settings.reward, &comparisons, queries, &task, model, device_memory)?;
    let backward = fixed_backward(progress, directory, settings.reward.micro_batch_size, fit)?;
    progress.say(&format!(
        "memory: about {}; {} comparisons in a micro-batch",
        memory.describe(),
        backward.micro_batch_size
    ));
    // From here on, the folder shows that training has begun.
    let run_logs = directory.run_logs()?;
    let (train, held_out) = split(comparisons, settings, seed, &mut left_out);
    let samples = settings.reward.normalize_samples;
    let normalization = sample_for_normalization(model, queries, samples, &task, seed, interrupt, progress)?;
    let data = RewardData { train, held_out, normalization };
    left_out.count(Reason::NoFullBatch, data.without_batch(settings.reward.batch_size));
    left_out.say("comparisons");
    let training = RewardTraining {
        settings: &settings.reward,
        backward,
        pretrained: model,
        data: &data,
        seed,
        run_logs,
        interrupt: interrupt.clone(),
        progress,
    };
    let fitted = training.run()?;
    out.write(&fitted.model.to_files(model)?, directory)?;
    Ok(RewardOutcome {
        fitted,
        chance: data.chance(),
        comparisons: data.train.len(),
        held_out_comparisons: data.held_out.len(),
        left_out,
    })
}

/// Adds the reasons to a statement of what there is too little of.
pub fn with_reasons(what: String, left_out: &LeftOut) -> String {
    if left_out.is_empty() { what } else { format!("{what} ({left_out})") }
}
