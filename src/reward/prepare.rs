//! From comparisons to what fitting reads.

use std::path::Path;

use super::collect::draw_normalization_samples;
use super::fit::NormalizationSamples;
use super::loss::TokenComparison;
use crate::config::Config;
use crate::data::comparisons::Comparison;
use crate::data::openai::{PickBest, is_original, without_padding};
use crate::data::preferences::Preferences;
use crate::data::split::{split_after, split_by_query};
use crate::error::Result;
use crate::lm::{LanguageModel, Task, original_labels};
use crate::run::interrupt::Interrupt;
use crate::run::progress::Mode;

/// Comparisons in tokens, and responses to normalize on.
#[derive(Debug, Clone)]
pub struct RewardData {
    pub train: Vec<TokenComparison>,
    /// Comparisons of other queries, for accuracy.
    pub held_out: Vec<TokenComparison>,
    pub normalization: NormalizationSamples,
}

impl RewardData {
    /// Sets comparisons apart as `settings` say, and draws responses of the model to `queries`.
    ///
    /// # Errors
    /// For a query that the model cannot read, when the device fails, and as [`Interrupt::check`].
    pub fn new(
        model: &LanguageModel,
        task: &Task,
        comparisons: Vec<TokenComparison>,
        queries: &[Vec<u32>],
        settings: &Config,
        seed: u64,
        (interrupt, progress): (&Interrupt, Mode),
    ) -> Result<Self> {
        let (train, held_out) = split(comparisons, settings, seed);
        let count = settings.reward.normalize_samples;
        let normalization = draw_normalization_samples(model, queries, count, task, seed, (interrupt, progress))?;
        Ok(Self { train, held_out, normalization })
    }

    /// The accuracy of guessing on all comparisons: the mean of 1/N with N responses each.
    pub fn chance(&self) -> f64 {
        let all = || self.train.iter().chain(&self.held_out);
        all().map(|one| 1.0 / one.responses.len() as f64).sum::<f64>() / all().count() as f64
    }

    /// The loss of guessing on all comparisons: the mean of ln N with N responses each.
    pub fn loss_of_guessing(&self) -> f64 {
        let all = || self.train.iter().chain(&self.held_out);
        all().map(|one| (one.responses.len() as f64).ln()).sum::<f64>() / all().count() as f64
    }
}

/// Those that train, and those of other queries that measure, as `settings` say.
pub fn split(
    comparisons: Vec<TokenComparison>,
    settings: &Config,
    seed: u64,
) -> (Vec<TokenComparison>, Vec<TokenComparison>) {
    match settings.reward.train_comparisons {
        0 => split_by_query(comparisons, |one| &one.query, settings.labels.held_out_fraction, seed),
        count => split_after(comparisons, |one| &one.query, count),
    }
}

/// The comparisons of a file in any format that is known, in tokens of the model; the original's, which
/// are tokens, are taken as they are. `path` is named in errors.
///
/// # Errors
/// As [`Preferences::whole`] and [`original_labels`].
pub fn token_comparisons(text: &str, path: &Path, model: &LanguageModel, task: &Task) -> Result<Vec<TokenComparison>> {
    if is_original(text) {
        return Ok(original_labels(text, path, &model.tokenizer)?.whole()?.iter().map(TokenComparison::from).collect());
    }
    encode_comparisons(&Preferences::read(text, path).whole()?, model, task)
}

/// Comparisons in tokens of the model.
///
/// # Errors
/// When the tokenizer fails.
pub fn encode_comparisons(
    comparisons: &[Comparison],
    model: &LanguageModel,
    task: &Task,
) -> Result<Vec<TokenComparison>> {
    comparisons.iter().map(|one| TokenComparison::encode(model, task, one)).collect()
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

impl From<&PickBest> for TokenComparison {
    /// Padding carries nothing: a row is read at its last real token.
    fn from(label: &PickBest) -> Self {
        Self {
            query: without_padding(&label.query),
            responses: label.samples().map(without_padding).into(),
            best: label.best,
        }
    }
}
