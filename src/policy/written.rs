//! Summary of a tuned policy's responses.

use serde::Serialize;

use super::rollout::Rollout;
use crate::statistics::mean;

/// Scores of the responses to one more batch of queries, after the last update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Written {
    /// Mean score, penalties included.
    pub score: f64,
    /// Mean reward of the valid responses; `None` if there are none.
    pub score_of_valid: Option<f64>,
    /// Share of the responses that are not valid and score the penalty.
    pub penalized: f64,
}

impl Written {
    pub(super) fn of(rollout: &Rollout) -> Self {
        let of_valid = rollout.scores.iter().zip(&rollout.valid).filter(|(_, valid)| **valid);
        let of_valid: Vec<f64> = of_valid.map(|(score, _)| *score).collect();
        let count = rollout.valid.len();
        Self {
            score: mean(&rollout.scores).unwrap_or(f64::NAN),
            score_of_valid: mean(&of_valid),
            penalized: (count - of_valid.len()) as f64 / count.max(1) as f64,
        }
    }

    /// Describes the scores in words; `penalty` is the score of a response that is not valid.
    pub fn describe(&self, penalty: f64) -> String {
        match (self.score_of_valid, self.penalized) {
            (None, _) => format!(
                "after the last update no response is valid, because each ends before the token at which it would be \
                 truncated: all score the penalty, {penalty}, whatever the reward model would give; see \
                 task.truncate_token, task.truncate_after_tokens and task.response_length_tokens"
            ),
            (Some(_), 0.0) => format!("after the last update responses score {:.2} on average", self.score),
            (Some(of_valid), penalized) => format!(
                "after the last update responses score {:.2} on average: the valid ones {of_valid:.2}, and the \
                 other {:.1}% the penalty, {penalty}",
                self.score,
                100.0 * penalized
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_are_told_apart_from_scores() {
        let written = |scores: &[f64], valid: &[bool]| {
            Written::of(&Rollout { scores: scores.into(), valid: valid.into(), ..Rollout::default() })
        };
        let mixed = written(&[2.0, 4.0, -1.0, -1.0], &[true, true, false, false]);
        assert_eq!(mixed, Written { score: 1.0, score_of_valid: Some(3.0), penalized: 0.5 });
        assert!(
            mixed.describe(-1.0).contains("1.00 on average: the valid ones 3.00, and the other 50.0% the penalty, -1")
        );
        let none = written(&[-1.0, -1.0], &[false, false]);
        assert_eq!((none.score_of_valid, none.penalized), (None, 1.0));
        assert!(
            none.describe(-1.0).contains("no response is valid, because each ends before the token")
                && none.describe(-1.0).contains("task.truncate_token")
        );
        assert!(!written(&[2.0], &[true]).describe(-1.0).contains("penalty"));
    }
}
