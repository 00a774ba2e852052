//! Win rate: how often a labeler prefers one model's responses to another's.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::labels::{Judgment, Labeler};
use crate::random::{Stream, generator, shuffled};
use crate::statistics::{Interval, wilson_interval};

/// Two responses to one query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub query: String,
    /// The response of the model that is judged.
    pub candidate: String,
    /// The response of the model that the candidate is measured against.
    pub baseline: String,
}

/// Verdict of the labeler on one pair, from the candidate's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Win,
    Loss,
    Tie,
}

/// One verdict, with the order in which the labeler saw the responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedPair {
    pub outcome: Outcome,
    pub candidate_shown_first: bool,
}

/// Win rate of the candidate against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WinRate {
    /// Name of the labeler.
    pub labeler: String,
    /// Win rate (wins + ties / 2) / pairs, in 0..=1.
    pub rate: f64,
    /// Lower end of the 95% Wilson interval around `rate`.
    pub low: f64,
    /// Upper end of the 95% Wilson interval around `rate`.
    pub high: f64,
    pub pairs: usize,
    pub wins: usize,
    pub losses: usize,
    pub ties: usize,
    /// Share of the pairs in which the response shown first was preferred, a tie counting one half. Far from 0.5, the
    /// labeler looks at the position and not at the text.
    pub first_shown_rate: f64,
    /// The 95% interval around `first_shown_rate`.
    pub first_shown: Interval,
    /// One verdict per pair, in the order of the pairs.
    pub judged: Vec<JudgedPair>,
}

/// Shows the pairs of all contests to the labeler in one random order, without saying which model wrote what. The order
/// within a pair depends on the pair alone, so that it stays the same when the pair is judged again. A pair of equal
/// responses is a tie, and is not asked.
///
/// # Errors
/// [`Error::Usage`] when there are no pairs, [`Error::Failed`] when the labeler picks a response that it was not shown
/// or leaves a pair out, and the errors of the labeler.
pub fn judge_pairs(contests: &[Vec<Pair>], labeler: &mut dyn Labeler, seed: u64) -> Result<Vec<WinRate>> {
    if contests.is_empty() || contests.iter().any(Vec::is_empty) {
        return Err(Error::usage(
            "a win rate needs at least one pair of responses",
            "give a file with at least one query",
        ));
    }
    let pairs: Vec<&Pair> = contests.iter().flatten().collect();
    // Contests one after the other would tell people when the contestant changes. Equal responses leave no choice.
    let mut order = shuffled(pairs.len(), &mut generator(seed, Stream::Evaluation, SEQUENCE, 0));
    order.retain(|&index| pairs.get(index).is_some_and(|pair| pair.candidate != pair.baseline));
    let asked = |&index: &usize| {
        let pair = pairs.get(index)?;
        let mut shown = vec![pair.candidate.clone(), pair.baseline.clone()];
        if !candidate_is_shown_first(pair) {
            shown.reverse();
        }
        Some((pair.query.clone(), shown))
    };
    let judgments = labeler.judge_all(&order.iter().filter_map(asked).collect::<Vec<_>>())?;
    if judgments.len() != order.len() {
        let what = format!("labeler {:?} judged {} of {} pairs", labeler.name(), judgments.len(), order.len());
        return Err(Error::failed(what, "a labeler must answer every question"));
    }
    let mut verdicts: HashMap<usize, Judgment> = order.into_iter().zip(judgments).collect();
    let judged = pairs.iter().enumerate().map(|(index, pair)| {
        let candidate_shown_first = candidate_is_shown_first(pair);
        let judgment = verdicts.remove(&index).unwrap_or(Judgment { best: 0, tied: true });
        Ok(JudgedPair { outcome: outcome(judgment, candidate_shown_first, labeler)?, candidate_shown_first })
    });
    let mut judged = judged.collect::<Result<Vec<_>>>()?.into_iter();
    Ok(contests.iter().map(|pairs| count(labeler.name(), judged.by_ref().take(pairs.len()).collect())).collect())
}

/// Sequence of the random numbers of judging, separate from those of the contestants, which count from 0.
const SEQUENCE: u64 = 1 << 32;

/// Decides the order of a pair by its digest, which is random, but the same each time the pair is judged, by any
/// labeler.
fn candidate_is_shown_first(pair: &Pair) -> bool {
    let candidate_is_lower = pair.candidate <= pair.baseline;
    let [low, high] =
        if candidate_is_lower { [&pair.candidate, &pair.baseline] } else { [&pair.baseline, &pair.candidate] };
    let digest = Sha256::digest([pair.query.as_str(), low, high].join("\0"));
    let lower_is_shown_first = digest.first().is_some_and(|byte| byte % 2 == 0);
    lower_is_shown_first == candidate_is_lower
}

fn outcome(judgment: Judgment, candidate_shown_first: bool, labeler: &dyn Labeler) -> Result<Outcome> {
    match judgment {
        Judgment { tied: true, .. } => Ok(Outcome::Tie),
        Judgment { best: 0, .. } if candidate_shown_first => Ok(Outcome::Win),
        Judgment { best: 1, .. } if !candidate_shown_first => Ok(Outcome::Win),
        Judgment { best: 0 | 1, .. } => Ok(Outcome::Loss),
        Judgment { best, .. } => Err(Error::failed(
            format!("labeler {:?} picked response {best} (counting from 0) of 2", labeler.name()),
            "a labeler must answer 0 or 1 when it is shown two responses",
        )),
    }
}

fn count(labeler: &str, judged: Vec<JudgedPair>) -> WinRate {
    let number_of = |wanted: Outcome| judged.iter().filter(|pair| pair.outcome == wanted).count();
    let (wins, losses, ties) = (number_of(Outcome::Win), number_of(Outcome::Loss), number_of(Outcome::Tie));
    let first_shown_preferred = judged
        .iter()
        .filter(|pair| match pair.outcome {
            Outcome::Win => pair.candidate_shown_first,
            Outcome::Loss => !pair.candidate_shown_first,
            Outcome::Tie => false,
        })
        .count();
    let pairs = judged.len();
    let with_half_ties = |successes: usize| successes as f64 + ties as f64 / 2.0;
    let interval = wilson_interval(with_half_ties(wins), pairs);
    WinRate {
        labeler: labeler.into(),
        rate: with_half_ties(wins) / pairs as f64,
        low: interval.low,
        high: interval.high,
        pairs,
        wins,
        losses,
        ties,
        first_shown_rate: with_half_ties(first_shown_preferred) / pairs as f64,
        first_shown: wilson_interval(with_half_ties(first_shown_preferred), pairs),
        judged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labeler that answers by a rule over the two responses.
    struct Rule(fn(&[String]) -> Judgment);

    impl Labeler for Rule {
        fn name(&self) -> &str {
            "rule"
        }

        fn judge(&mut self, _query: &str, responses: &[String]) -> Result<Judgment> {
            Ok((self.0)(responses))
        }
    }

    fn pairs(count: usize) -> Vec<Pair> {
        let pair = |index| Pair {
            query: format!("query {index}"),
            candidate: format!("good {index}"),
            baseline: format!("bad {index}"),
        };
        (0..count).map(pair).collect()
    }

    fn judge(pairs: &[Pair], rule: fn(&[String]) -> Judgment) -> Result<WinRate> {
        let rates = judge_pairs(&[pairs.to_vec()], &mut Rule(rule), 7)?;
        Ok(rates.into_iter().next().unwrap())
    }

    fn prefer_good(responses: &[String]) -> Judgment {
        let best = responses.iter().position(|response| response.starts_with("good")).unwrap();
        Judgment { best, tied: false }
    }

    #[test]
    fn a_better_model_wins_every_pair_in_both_positions() {
        let rate = judge(&pairs(400), prefer_good).unwrap();
        assert_eq!((rate.wins, rate.losses, rate.ties, rate.rate), (400, 0, 0, 1.0));
        let shown_first = rate.judged.iter().filter(|pair| pair.candidate_shown_first).count();
        assert!((160..=240).contains(&shown_first), "a fair coin: {shown_first} of 400");
        assert_eq!(rate.first_shown_rate, shown_first as f64 / 400.0);
    }

    #[test]
    fn a_labeler_that_always_takes_the_first_is_found_out() {
        let rate = judge(&pairs(400), |_| Judgment { best: 0, tied: false }).unwrap();
        assert_eq!(rate.first_shown_rate, 1.0);
        assert!(rate.low < 0.5 && 0.5 < rate.high, "says nothing about the models: {rate:?}");
    }

    #[test]
    fn a_tie_counts_one_half() {
        let verdict = |outcome| JudgedPair { outcome, candidate_shown_first: true };
        let rate = count("rule", [Outcome::Win, Outcome::Win, Outcome::Tie, Outcome::Loss].map(verdict).to_vec());
        assert_eq!((rate.rate, rate.wins, rate.ties, rate.losses), (0.625, 2, 1, 1));
        assert_eq!(rate.first_shown_rate, 0.625);

        let all_tied = judge(&pairs(10), |_| Judgment { best: 0, tied: true }).unwrap();
        assert_eq!((all_tied.rate, all_tied.first_shown_rate), (0.5, 0.5));
    }

    #[test]
    fn a_pair_is_shown_in_the_same_order_whatever_other_pairs_there_are_and_whoever_is_the_candidate() {
        let [few, many] = [50, 80].map(|count| judge(&pairs(count), prefer_good).unwrap().judged);
        assert_eq!(few, many[..50]);
        let swap = |pair: Pair| Pair { candidate: pair.baseline, baseline: pair.candidate, ..pair };
        let swapped = judge(&pairs(50).into_iter().map(swap).collect::<Vec<_>>(), prefer_good).unwrap().judged;
        assert!(few.iter().zip(&swapped).all(|(one, other)| one.candidate_shown_first != other.candidate_shown_first));
    }

    #[test]
    fn a_response_against_itself_is_a_tie_and_not_asked() {
        let same = Pair { query: "query".into(), candidate: "good".into(), baseline: "good".into() };
        let rate = judge(&[pairs(2), vec![same]].concat(), prefer_good).unwrap();
        assert_eq!((rate.wins, rate.ties, rate.pairs), (2, 1, 3));
        assert_eq!(rate.judged[2].outcome, Outcome::Tie);
    }

    #[test]
    fn a_labeler_that_leaves_a_pair_out_is_an_error() {
        struct Lazy;
        impl Labeler for Lazy {
            fn name(&self) -> &str {
                "lazy"
            }

            fn judge(&mut self, _: &str, _: &[String]) -> Result<Judgment> {
                Ok(Judgment { best: 0, tied: false })
            }

            fn judge_all(&mut self, asked: &[(String, Vec<String>)]) -> Result<Vec<Judgment>> {
                asked.iter().skip(1).map(|(query, responses)| self.judge(query, responses)).collect()
            }
        }
        assert_eq!(judge_pairs(&[pairs(3)], &mut Lazy, 1).unwrap_err().exit_code(), 1);
    }

    #[test]
    fn several_contests_are_mixed_and_each_keeps_its_own_verdicts() {
        let [good, bad] = ["good", "bad"].map(|word| word.to_string());
        let contest = |candidate: &String, baseline: &String, count| {
            let pair = |number: usize| Pair {
                query: format!("query {number}"),
                candidate: candidate.clone(),
                baseline: baseline.clone(),
            };
            (0..count).map(pair).collect::<Vec<_>>()
        };
        /// Labeler that notes what it is asked.
        struct Noting(Vec<Vec<String>>);
        impl Labeler for Noting {
            fn name(&self) -> &str {
                "noting"
            }

            fn judge(&mut self, _: &str, responses: &[String]) -> Result<Judgment> {
                self.0.push(responses.to_vec());
                Ok(prefer_good(responses))
            }
        }
        let contests = [contest(&good, &bad, 30), contest(&"ugly".into(), &good, 50)];
        let mut labeler = Noting(Vec::new());
        let rates = judge_pairs(&contests, &mut labeler, 7).unwrap();
        assert_eq!((rates[0].wins, rates[0].pairs, rates[1].losses, rates[1].pairs), (30, 30, 50, 50));
        let first_contest = |asked: &Vec<String>| asked.contains(&bad);
        let changes = labeler.0.windows(2).filter(|two| first_contest(&two[0]) != first_contest(&two[1])).count();
        assert!(changes > 20, "not mixed: {changes}");
    }

    #[test]
    fn impossible_verdicts_and_empty_input_are_errors() {
        assert_eq!(judge(&[], prefer_good).unwrap_err().exit_code(), 2);
        let error = judge(&pairs(1), |_| Judgment { best: 2, tied: false }).unwrap_err();
        assert!(error.to_string().contains("rule"), "{error}");
    }
}
