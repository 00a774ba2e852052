//! Health of a run, measured on the responses: a run stops before it gets worse.

use std::collections::HashSet;

use super::rollout::Rollout;
use super::shaping::mean_of_sums;
use crate::config::Health;
use crate::error::{Error, Result};
use crate::lm::Tokenizer;
use crate::task::{Task, Truncation, Variety};

/// Health of an update's responses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RolloutHealth {
    /// KL from the reference in nats per response.
    pub kl: f64,
    /// Entropy in nats per response.
    pub entropy: f64,
    /// Mean share of a response's bigrams that occurred in it before. What is sampled after the model ended a response
    /// does not count.
    pub repetition: f64,
    /// Variety of the truncated responses.
    pub variety: Variety,
}

/// Health of a run's first update, with which later ones are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FirstHealth {
    pub entropy: f64,
    pub distinct_bigrams: f64,
}

impl RolloutHealth {
    pub fn of(rollout: &Rollout, truncation: &Truncation, kl: f64) -> Self {
        let written = rollout.responses.iter().map(|response| truncation.before_end(response));
        let repeated: Vec<f64> = written.map(repetition).collect();
        Self {
            kl,
            entropy: -mean_of_sums(&rollout.log_probs),
            repetition: repeated.iter().sum::<f64>() / repeated.len().max(1) as f64,
            variety: Variety::of(rollout.responses.iter().map(|response| truncation.kept(response))),
        }
    }

    /// Checks the limits; `first` is the health of the run's first update.
    ///
    /// # Errors
    /// [`Error::Failed`] with the limit that was exceeded, or with the number that is not finite.
    pub fn check(&self, limits: &Health, first: FirstHealth) -> Result<()> {
        let Self { kl, entropy, repetition, variety: Variety { distinct_bigrams, .. } } = *self;
        let FirstHealth { entropy: first_entropy, distinct_bigrams: first_bigrams } = first;
        let least = limits.smallest_entropy * first_entropy;
        let fault = match () {
            () if !(kl.is_finite() && entropy.is_finite()) => {
                Some((format!("the KL is {kl} and the entropy is {entropy}"), None))
            }
            () if kl > limits.largest_kl => {
                let what = format!("the KL is {kl:.1} nats per response, more than {}", limits.largest_kl);
                Some((what, Some("health.largest_kl")))
            }
            () if entropy < least => {
                let what = format!("the entropy fell from {first_entropy:.2} to {entropy:.2} nats per response");
                Some((what, Some("health.smallest_entropy")))
            }
            () if repetition > limits.most_repetition => {
                let what = format!("{:.0}% of the bigrams in a response occur earlier in it", 100.0 * repetition);
                Some((what, Some("health.most_repetition")))
            }
            () if distinct_bigrams < limits.smallest_variety * first_bigrams => {
                let [before, now] = [first_bigrams, distinct_bigrams].map(|share| 100.0 * share);
                let what = format!("the responses became alike: distinct bigrams fell from {before:.0}% to {now:.0}%");
                Some((what, Some("health.smallest_variety")))
            }
            () => None,
        };
        fault.map_or(Ok(()), |(what, limit)| {
            // No setting allows a number that is not finite.
            let change = match limit {
                Some(limit) => format!("policy.learning_rate or policy.kl.target, or change {limit} to allow this,"),
                None => "policy.learning_rate".into(),
            };
            Err(Error::failed(
                format!("stopped, because {what}"),
                format!(
                    "lower {change} and run the same command again: it resumes from the last checkpoint, if there is \
                     one; samples.jsonl has the responses"
                ),
            ))
        })
    }
}

/// Stops a run in which none of the first `responses` responses is valid: all score the penalty, and there is nothing
/// to learn. `last` is the rollout with the last of them.
///
/// # Errors
/// [`Error::Failed`] with the settings that decide where responses are truncated, unless the limit is not reached yet.
pub(super) fn check_truncation(
    limits: &Health,
    task: &Task,
    tokenizer: &Tokenizer,
    responses: usize,
    last: &Rollout,
) -> Result<()> {
    if limits.responses_until_valid == 0 || responses < limits.responses_until_valid {
        return Ok(());
    }
    let Task { truncation, sampling, penalty_score, .. } = task;
    let (early, change) = early_ends(truncation, tokenizer, last)?;
    Err(Error::failed(
        format!(
            "stopped, because no response is valid: none of the first {responses} responses has {:?} (task.truncate_token) \
             after its first {} tokens (task.truncate_after_tokens), so each got the penalty, {penalty_score}, and there is \
             nothing to learn. A response has {} tokens (task.response_length_tokens){early}",
            tokenizer.decode(&[truncation.token])?,
            truncation.after,
            sampling.response_length
        ),
        format!("{change}; samples.jsonl has the responses; to continue anyway, set health.responses_until_valid=0"),
    ))
}

/// Returns what to add to the statement that no response has the truncate token, and what to change: responses of
/// `last` may end before it, because the model ends them.
fn early_ends(truncation: &Truncation, tokenizer: &Tokenizer, last: &Rollout) -> Result<(String, String)> {
    let early: Vec<u32> = last.responses.iter().filter_map(|response| truncation.ended_early(response)).collect();
    let change = "set task.truncate_token to a token that the model samples, or raise task.response_length_tokens";
    let Some(&end) = early.first() else { return Ok((String::new(), change.into())) };
    let (end, ended, of) = (tokenizer.decode(&[end])?, early.len(), last.responses.len());
    Ok((
        format!("; the model itself ended {ended} of the last {of} earlier, for example with {end:?}"),
        format!(
            "to let a response end where the model ends it, set task.truncate_token={end:?} and \
             task.truncate_after_tokens=0; else {change}"
        ),
    ))
}

/// Returns the share of a response's bigrams (pairs of neighbouring tokens) that occurred in it before.
pub fn repetition(response: &[u32]) -> f64 {
    let pairs: Vec<&[u32]> = response.windows(2).collect();
    let different: HashSet<&[u32]> = pairs.iter().copied().collect();
    (pairs.len() - different.len()) as f64 / pairs.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::models;

    /// A chat model samples its end token again and again after a good answer.
    #[test]
    fn what_is_sampled_after_an_end_token_repeats_nothing() {
        let rollout = Rollout { responses: vec![vec![1, 2, 3, 4, 9, 9, 9, 9, 9, 9]], ..Rollout::default() };
        let repetition = |end_tokens: Vec<u32>| {
            let truncation = Truncation { token: 4, after: 0, end_tokens };
            RolloutHealth::of(&rollout, &truncation, 0.0).repetition
        };
        assert_eq!(repetition(vec![9]), 0.0);
        // A GPT-2 samples on, and all of it counts.
        assert_eq!(repetition(Vec::new()), 4.0 / 9.0);
    }

    #[test]
    fn a_run_whose_responses_end_early_is_told_of_the_end_token() {
        let model = models::open("storyteller", &crate::device::host()).unwrap();
        let mut task = Task::new(&config::Task::default(), &model).unwrap();
        let end = model.tokenizer.token("<|endoftext|>").unwrap();
        let responses = vec![vec![end; 24], vec![end + 1; 24]];
        let last = Rollout { responses, ..Rollout::default() };
        let stopped = |task: &Task| check_truncation(&Health::default(), task, &model.tokenizer, 1 << 20, &last);
        let error = stopped(&task).unwrap_err();
        assert!(error.hint().contains("or raise task.response_length_tokens"), "{}", error.hint());
        task.truncation.end_tokens = vec![end];
        let error = stopped(&task).unwrap_err();
        let says = "; the model itself ended 1 of the last 2 earlier, for example with \"<|endoftext|>\"";
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().contains("set task.truncate_token=\"<|endoftext|>\""), "{}", error.hint());
        assert!(error.hint().contains("or raise task.response_length_tokens"), "{}", error.hint());
    }

    #[test]
    fn repetition_counts_pairs_that_came_before() {
        assert_eq!(repetition(&[1, 2, 3, 4, 5]), 0.0);
        assert_eq!(repetition(&[1, 2, 1, 2, 1]), 0.5);
        assert_eq!(repetition(&[7; 5]), 0.75);
        assert_eq!(repetition(&[]), 0.0);
    }

    #[test]
    fn each_limit_stops_by_its_name() {
        let limits = Health {
            largest_kl: 50.0,
            smallest_entropy: 0.1,
            most_repetition: 0.5,
            smallest_variety: 0.1,
            ..Health::default()
        };
        let variety = Variety { distinct_bigrams: 0.5, distinct_responses: 1.0 };
        let healthy = RolloutHealth { kl: 12.0, entropy: 20.0, repetition: 0.1, variety };
        let alike = Variety { distinct_bigrams: 0.07, ..variety };
        let first = FirstHealth { entropy: 40.0, distinct_bigrams: 0.8 };
        healthy.check(&limits, first).unwrap();
        let cases = [
            (
                RolloutHealth { kl: 51.0, ..healthy },
                "the KL is 51.0 nats per response, more than 50",
                "health.largest_kl",
            ),
            (
                RolloutHealth { entropy: 3.9, ..healthy },
                "the entropy fell from 40.00 to 3.90",
                "health.smallest_entropy",
            ),
            (RolloutHealth { repetition: 0.51, ..healthy }, "51% of the bigrams", "health.most_repetition"),
            (
                RolloutHealth { variety: alike, ..healthy },
                "distinct bigrams fell from 80% to 7%",
                "health.smallest_variety",
            ),
            (RolloutHealth { kl: f64::NAN, ..healthy }, "KL is NaN", "policy.learning_rate"),
            (RolloutHealth { entropy: f64::INFINITY, ..healthy }, "entropy is inf", "policy.learning_rate"),
        ];
        for (health, says, setting) in cases {
            let error = health.check(&limits, first).unwrap_err();
            assert!(error.to_string().contains(says) && error.hint().contains(setting), "{error} {}", error.hint());
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn no_setting_is_said_to_allow_a_number_that_is_not_finite() {
        let variety = Variety { distinct_bigrams: 0.5, distinct_responses: 1.0 };
        let healthy = RolloutHealth { kl: 12.0, entropy: 20.0, repetition: 0.1, variety };
        let first = FirstHealth { entropy: 40.0, distinct_bigrams: 0.8 };
        for health in [
            RolloutHealth { kl: f64::NAN, ..healthy },
            RolloutHealth { kl: f64::INFINITY, ..healthy },
            RolloutHealth { entropy: f64::NEG_INFINITY, ..healthy },
        ] {
            let error = health.check(&Health::default(), first).unwrap_err();
            assert_eq!(
                error.hint(),
                "lower policy.learning_rate and run the same command again: it resumes from the last checkpoint, if there \
                 is one; samples.jsonl has the responses"
            );
        }
        let error = RolloutHealth { kl: 1e9, ..healthy }.check(&Health::default(), first).unwrap_err();
        assert!(error.hint().contains("change health.largest_kl to allow this"), "{}", error.hint());
    }
}
