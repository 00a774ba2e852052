//! Schedule of the rounds: when labels come in, and when a new reward model is trained on them (paper, section 2.2,
//! "online data collection").

use crate::config::{LabelSchedule, Train};
use crate::error::{Error, Result};

/// Round: labels, a reward model trained from the pretrained weights, then updates of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Number of labels before the reward model is trained, those of earlier rounds included.
    pub labels: usize,
    /// Number of updates when the round begins; `updates` is the number when it ends.
    pub first_update: usize,
    pub updates: usize,
}

/// Returns the rounds of a run with `labels` labels and `updates` updates in all.
///
/// Reward models are trained at even distances over the updates. With [`LabelSchedule::Falling`], after a share `x` of
/// the updates there are `l₀ + (l − l₀)(1 − (1 − x)²)` labels, of `l` in all and `l₀` at the start.
///
/// # Errors
/// [`Error::Usage`] for a round without an update, and for a first round with fewer than two labels.
pub fn rounds(train: &Train, labels: usize, updates: usize) -> Result<Vec<Round>> {
    let count = train.rounds;
    if count > updates {
        let what = format!("train.rounds is {count}, and there are {updates} updates");
        return Err(Error::usage(what, "lower it, or raise policy.updates"));
    }
    let share_of_labels = |round: usize| match train.labels {
        LabelSchedule::Even => (round + 1) as f64 / count as f64,
        LabelSchedule::Falling => {
            let left = 1.0 - round as f64 / count as f64;
            train.first_share + (1.0 - train.first_share) * (1.0 - left * left)
        }
    };
    let round = |round: usize| Round {
        labels: (share_of_labels(round) * labels as f64).round() as usize,
        first_update: updates * round / count,
        updates: updates * (round + 1) / count,
    };
    let all: Vec<Round> = (0..count).map(round).collect();
    match all.first() {
        Some(first) if first.labels < 2 => Err(Error::usage(
            format!("the first of {count} rounds would have {} of the {labels} labels", first.labels),
            "raise labels.comparisons or train.first_share, or lower train.rounds",
        )),
        _ => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rounds: usize, labels: LabelSchedule, first_share: f64) -> Train {
        Train { rounds, labels, first_share }
    }

    #[test]
    fn one_round_is_offline_and_several_share_labels_and_updates() {
        let even = |count| rounds(&of(count, LabelSchedule::Even, 0.5), 3000, 100).unwrap();
        assert_eq!(even(1), [Round { labels: 3000, first_update: 0, updates: 100 }]);
        let labels: Vec<usize> = even(3).iter().map(|round| round.labels).collect();
        let updates: Vec<usize> = even(3).iter().map(|round| round.updates).collect();
        assert_eq!((labels, updates), (vec![1000, 2000, 3000], vec![33, 66, 100]));
        assert_eq!(rounds(&of(3, LabelSchedule::Even, 0.5), 3000, 2).unwrap_err().exit_code(), 2);
        assert!(rounds(&of(20, LabelSchedule::Even, 0.5), 8, 100).is_err(), "a first round without labels");
    }

    #[test]
    fn labels_fall_off_by_the_papers_formula() {
        let all = rounds(&of(20, LabelSchedule::Falling, 0.5), 60_000, 2000).unwrap();
        assert_eq!((all[0].labels, all[10].labels, all[19].labels), (30_000, 52_500, 59_925));
        assert_eq!((all[0].updates, all[19].updates), (100, 2000));
        assert!(all.windows(3).all(|three| three[1].labels - three[0].labels >= three[2].labels - three[1].labels));
    }
}
