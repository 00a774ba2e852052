//! Draws the responses that a labeler compares, and those that rewards are normalized on.

use super::fit::NormalizationSamples;
use crate::error::Result;
use crate::lm::{LanguageModel, Sampling, Task, sample};
use crate::run::random::{Stream, below, generator, uniform};

/// Queries with the responses to choose from.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Index into the queries given.
    pub query: usize,
    /// Tokens of each response, cut where responses end.
    pub responses: Vec<Vec<u32>>,
}

/// Draws `responses_per_query` responses to each of the queries that `picked` names;
/// `first` is the number of the first comparison, which with `seed` decides the random numbers.
///
/// # Errors
/// For a query the model cannot read, and when the device fails.
pub fn collect(
    model: &LanguageModel,
    queries: &[Vec<u32>],
    picked: &[usize],
    responses_per_query: usize,
    task: &Task,
    (seed, first): (u64, usize),
) -> Result<Vec<Collection>> {
    let contexts: Vec<Vec<u32>> =
        picked.iter().filter_map(|&index| queries.get(index)).map(|query| task.context(query)).collect();
    let sampling = Sampling { responses_per_query, ..task.sampling };
    let numbers = |row: usize| {
        let row = first * sampling.responses_per_query + row;
        uniform(seed, Stream::Labels, 0, row as u64, sampling.response_length)
    };
    let drawn = sample(&model.transformer, &model.config, None, &contexts, &sampling, numbers)?;
    let groups = drawn.responses.chunks(sampling.responses_per_query);
    Ok(picked
        .iter()
        .zip(groups)
        .map(|(&query, group)| Collection {
            query,
            responses: group.iter().map(|response| task.truncation.cut(response)).collect(),
        })
        .collect())
}

/// Responses of the reference to random queries, whole, as the original normalizes on them.
///
/// # Errors
/// As [`collect`].
pub fn draw_normalization_samples(
    model: &LanguageModel,
    queries: &[Vec<u32>],
    count: usize,
    task: &Task,
    seed: u64,
) -> Result<NormalizationSamples> {
    let mut rng = generator(seed, Stream::Normalization, 0, 0);
    let chosen: Vec<Vec<u32>> =
        (0..count).filter_map(|_| queries.get(below(queries.len().max(1), &mut rng))).cloned().collect();
    let contexts = task.contexts(&chosen);
    let numbers = |row: usize| uniform(seed, Stream::Normalization, 1, row as u64, task.sampling.response_length);
    let drawn = sample(&model.transformer, &model.config, None, &contexts, &task.sampling, numbers)?;
    Ok(NormalizationSamples { queries: chosen, responses: drawn.responses })
}
