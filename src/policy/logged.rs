//! Rows that an update writes into the logs of a run.

use serde::Serialize;

use super::health::RolloutHealth;
use super::ppo::StepStatistics;
use super::rollout::Rollout;
use crate::error::Result;
use crate::lm::LanguageModel;
use crate::run::Metric;
use crate::run::step_log::StepLog;
use crate::statistics::mean;
use crate::task::Task;

/// A row of `samples.jsonl`.
#[derive(Serialize)]
struct Sample {
    step: u64,
    query: String,
    response: String,
    score: f64,
    kl: f64,
}

/// Number of samples logged at each update.
const SAMPLES: usize = 3;

/// Logs some of the responses for people to read, each without an end token and what follows it.
///
/// # Errors
/// Fails when the tokenizer fails, and when the operating system refuses.
pub(super) fn log_samples(
    log: &mut StepLog,
    step: u64,
    rollout: &Rollout,
    model: &LanguageModel,
    task: &Task,
) -> Result<()> {
    let rows = rollout.contexts.iter().zip(&rollout.responses).zip(&rollout.scores);
    let ratios = rollout.log_probs.iter().zip(&rollout.reference_log_probs);
    for (((query, response), score), (policy, reference)) in rows.zip(ratios).take(SAMPLES) {
        let sample = Sample {
            step,
            query: model.tokenizer.decode(query)?,
            response: task.decode_whole_response(model, response)?,
            score: *score,
            kl: policy.iter().zip(reference).map(|(p, r)| p - r).sum(),
        };
        log.append(&sample)?;
    }
    Ok(())
}

/// Counts the valid responses.
pub(super) fn count_valid(rollout: &Rollout) -> usize {
    rollout.valid.iter().filter(|&&valid| valid).count()
}

/// Returns the numbers of an update, under the original's names where it logs the same number.
pub(super) fn metrics_row(
    rollout: &Rollout,
    health: &RolloutHealth,
    kl_coefficient: f64,
    penalty: f64,
    rate: f64,
    steps: &[StepStatistics],
) -> Vec<(Metric, f64)> {
    let score = mean(&rollout.scores).unwrap_or(f64::NAN);
    let valid = count_valid(rollout) as f64 / rollout.valid.len() as f64;
    let mut row = vec![
        (Metric::Kl, health.kl),
        (Metric::KlCoefficient, kl_coefficient),
        (Metric::Entropy, health.entropy),
        (Metric::Score, score),
        (Metric::ScoreTotal, score + penalty),
        (Metric::ValidResponses, valid),
        (Metric::DistinctBigrams, health.variety.distinct_bigrams),
        (Metric::DistinctResponses, health.variety.distinct_responses),
        (Metric::PolicyLearningRate, rate),
    ];
    row.extend(StepStatistics::mean_named(steps));
    row
}
