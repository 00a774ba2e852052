//! From comparisons in text to what fitting reads.

use super::collect::draw_normalization_samples;
use super::fit::NormalizationSamples;
use super::loss::TokenComparison;
use crate::data::comparisons::Comparison;
use crate::data::split::split_by_query;
use crate::error::Result;
use crate::lm::{LanguageModel, Task};

/// Comparisons in tokens, and responses to normalize on.
#[derive(Debug, Clone)]
pub struct RewardData {
    pub train: Vec<TokenComparison>,
    /// Comparisons of other queries, for accuracy.
    pub held_out: Vec<TokenComparison>,
    pub normalization: NormalizationSamples,
}

impl RewardData {
    /// Encodes comparisons, holds out those of a random `held_out_fraction` of the queries, and
    /// draws `normalize_samples` responses of the model to `queries`.
    ///
    /// # Errors
    /// For text that the model cannot read, and when the device fails.
    pub fn new(
        model: &LanguageModel,
        task: &Task,
        comparisons: Vec<Comparison>,
        held_out_fraction: f64,
        queries: &[String],
        normalize_samples: usize,
        seed: u64,
    ) -> Result<Self> {
        let (train, held_out) = split_by_query(comparisons, held_out_fraction, seed);
        let encode = |all: &[Comparison]| all.iter().map(|one| TokenComparison::encode(model, task, one)).collect();
        let (train, held_out): (Result<_>, Result<_>) = (encode(&train), encode(&held_out));
        let queries = queries.iter().map(|query| task.encode_query(model, query)).collect::<Result<Vec<_>>>()?;
        let normalization = draw_normalization_samples(model, &queries, normalize_samples, &task.sampling, seed)?;
        Ok(Self { train: train?, held_out: held_out?, normalization })
    }

    /// The accuracy of guessing on all comparisons: the mean of 1/N with N responses each.
    pub fn chance(&self) -> f64 {
        let all = || self.train.iter().chain(&self.held_out);
        all().map(|one| 1.0 / one.responses.len() as f64).sum::<f64>() / all().count() as f64
    }
}

impl TokenComparison {
    fn encode(model: &LanguageModel, task: &Task, comparison: &Comparison) -> Result<Self> {
        let encode = |response: &String| task.encode_response(model, response);
        Ok(Self {
            query: task.encode_query(model, &comparison.query)?,
            responses: comparison.responses.iter().map(encode).collect::<Result<_>>()?,
            best: comparison.best,
        })
    }
}
