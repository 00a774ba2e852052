//! Responses of the reference, on which rewards are normalized to mean 0 and variance 1 (§2.2).

use crate::error::{Error, Result};
use crate::lm::{LanguageModel, sample_and_tell};
use crate::platform::{Interrupt, Mode, Progress};
use crate::random::{Stream, below, generator, uniform};
use crate::task::Task;

/// Responses of the reference, on which rewards are normalized.
#[derive(Debug, Clone, Default)]
pub struct NormalizationSamples {
    pub queries: Vec<Vec<u32>>,
    pub responses: Vec<Vec<u32>>,
}

/// Samples responses of the reference to random queries. They are not truncated, as in the original's normalization, but
/// end before the model's end token, because scored responses have none.
///
/// # Errors
/// [`Error::Interrupted`] when a stop is requested, and the errors of [`sample_and_tell`].
pub fn sample_for_normalization(
    model: &LanguageModel,
    queries: &[Vec<u32>],
    count: usize,
    task: &Task,
    seed: u64,
    interrupt: &Interrupt,
    progress: Mode,
) -> Result<NormalizationSamples> {
    let mut rng = generator(seed, Stream::Normalization, 0, 0);
    let chosen: Vec<Vec<u32>> =
        (0..count).filter_map(|_| queries.get(below(queries.len().max(1), &mut rng))).cloned().collect();
    let contexts = task.contexts(&chosen);
    let numbers = |row: usize| uniform(seed, Stream::Normalization, 1, row as u64, task.sampling.response_length);
    let mut progress = Progress::new("sampling for normalization", contexts.len() as u64, "responses", progress);
    // A stop requested before this began is handled by the training step.
    let wished_before = interrupt.requested();
    let tell = |rows: usize| {
        progress.advance(rows as u64);
        let stop = interrupt.requested() && !wished_before;
        if stop { Err(Error::Interrupted { checkpoint: None }) } else { Ok(()) }
    };
    let (network, sampling) = (&model.transformer, &task.sampling);
    let drawn = sample_and_tell(network, None, &contexts, sampling, numbers, interrupt, tell)?;
    progress.finish();
    let before_end = |response: &Vec<u32>| task.truncation.before_end(response).to_vec();
    Ok(NormalizationSamples { queries: chosen, responses: drawn.responses.iter().map(before_end).collect() })
}
