//! Two models continue the same queries, and a labeler says which did it better.

use crate::config;
use crate::error::Result;
use crate::labels::Labeler;
use crate::lm::{LanguageModel, Task, sample};
use crate::policy::{Rows, mean_of_sums, response_log_probs};
use crate::run::random::{Stream, generator, uniform};

use super::win_rate::{Pair, WinRate, judge_pairs};

/// Rows in a forward pass.
const ROWS_AT_ONCE: usize = 64;

/// What two models wrote and which was preferred.
#[derive(Debug, Clone)]
pub struct Contest {
    pub win_rate: WinRate,
    pub pairs: Vec<Pair>,
    /// The candidate's responses whole, in tokens, with their queries: for scoring.
    pub queries: Vec<Vec<u32>>,
    pub candidate_responses: Vec<Vec<u32>>,
    pub baseline_responses: Vec<Vec<u32>>,
    /// KL from the baseline, estimated on the candidate's responses: nats a response.
    pub kl: f64,
}

/// Continues `count` queries, going through them again if there are fewer, with each model.
///
/// # Errors
/// For a query a model cannot read, when the labeler fails, and when the device fails.
pub fn contest(
    candidate: &LanguageModel,
    baseline: &LanguageModel,
    queries: &[String],
    labeler: &mut dyn Labeler,
    task: &config::Task,
    count: usize,
    seed: u64,
) -> Result<Contest> {
    let texts: Vec<&String> = queries.iter().cycle().take(count).collect();
    let candidate_task = Task::new(task, candidate)?;
    let tokens = texts.iter().map(|query| candidate_task.encode_query(candidate, query)).collect::<Result<Vec<_>>>()?;
    let draw = |model: &LanguageModel, task: &Task, tokens: &[Vec<u32>], side: u64| {
        let length = task.sampling.response_length;
        let numbers = |row: usize| uniform(seed, Stream::Evaluation, side, row as u64, length);
        sample(&model.transformer, &model.config, None, tokens, &task.sampling, numbers)
    };
    let written = draw(candidate, &candidate_task, &tokens, 0)?;
    let baseline_task = Task::new(task, baseline)?;
    let baseline_tokens =
        texts.iter().map(|query| baseline_task.encode_query(baseline, query)).collect::<Result<Vec<_>>>()?;
    let baseline_responses = draw(baseline, &baseline_task, &baseline_tokens, 1)?.responses;

    let pair = |((query, ours), theirs): ((&&String, &Vec<u32>), &Vec<u32>)| {
        Ok(Pair {
            query: (*query).clone(),
            candidate: candidate_task.decode_response(candidate, ours)?,
            baseline: baseline_task.decode_response(baseline, theirs)?,
        })
    };
    let pairs = texts.iter().zip(&written.responses).zip(&baseline_responses).map(pair).collect::<Result<Vec<_>>>()?;
    let win_rate = judge_pairs(&pairs, labeler, &mut generator(seed, Stream::Evaluation, 2, 0))?;
    let kl = mean_log_ratio(baseline, &candidate_task, &tokens, &written.responses, &written.log_probs)?;
    Ok(Contest { win_rate, pairs, queries: tokens, candidate_responses: written.responses, baseline_responses, kl })
}

/// Mean over responses of `Σ (log π − log ρ)`; NaN between models of different vocabularies.
fn mean_log_ratio(
    reference: &LanguageModel,
    task: &Task,
    queries: &[Vec<u32>],
    responses: &[Vec<u32>],
    log_probs: &[Vec<f32>],
) -> Result<f64> {
    if reference.config.pad_token() != task.truncation.pad_token {
        return Ok(f64::NAN);
    }
    let temperature = task.sampling.temperature;
    let (model, config) = (&reference.transformer, &reference.config);
    let theirs = response_log_probs(model, config, queries, responses, temperature, ROWS_AT_ONCE)?;
    let ratios: Rows = log_probs
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours.iter().zip(theirs).map(|(&our, their)| f64::from(our) - their).collect())
        .collect();
    Ok(mean_of_sums(&ratios))
}
