//! Contests: several models continue the same queries, and a labeler compares their responses in pairs.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::contestant::{Contestant, Match};
use super::win_rate::{Pair, WinRate, judge_pairs};
use crate::config;
use crate::data::LeftOut;
use crate::error::{Error, Result};
use crate::labels::{Judgment, Labeler};
use crate::lm;
use crate::lm::{LanguageModel, MicroBatches, ROWS_AT_ONCE, Sampled, Sampling, sample};
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};
use crate::policy::{Rollouts, response_log_probs};
use crate::random::{Stream, below, generator, uniform};
use crate::statistics::mean;
use crate::task::{Task, Variety};

/// Largest number of queries continued side by side.
pub(super) const QUERIES_AT_ONCE: usize = 64;

/// Summary of a contestant's responses in all its contests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub name: String,
    /// KL from the reference in nats per response: an estimate on the responses or, for the best of N, its upper bound
    /// `ln N − (N − 1)/N`.
    #[serde(deserialize_with = "number_or_nan")]
    pub kl: f64,
    /// Mean score, if there is a reward model: the reward, or the penalty for a response that is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Share of the responses that are valid, if they were scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<f64>,
    /// Variety of the truncated responses; `None` in results from before it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variety: Option<Variety>,
    /// Bits per byte of the responses under another language model, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<f64>,
}

/// Reads `null` as NaN: JSON has no number that is not finite, and `null` is written for it.
fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// One contestant against another.
#[derive(Debug, Clone)]
pub struct Contest {
    pub candidate: String,
    pub baseline: String,
    pub win_rate: WinRate,
    pub pairs: Vec<Pair>,
    /// Scores of the responses: the reward, or the penalty for a response that is not valid; empty without a
    /// reward model.
    pub candidate_scores: Vec<f64>,
    pub baseline_scores: Vec<f64>,
}

/// Results of a tournament.
#[derive(Debug, Clone)]
pub struct TournamentResult {
    pub standings: Vec<Standing>,
    pub contests: Vec<Contest>,
    /// Number of different queries. If there are more pairs, several share a query and are no independent evidence.
    pub queries: usize,
}

/// Queries and settings of a tournament. All contestants read the same tokens.
pub struct Tournament<'a> {
    /// Reference from which the KL is measured.
    pub reference: &'a LanguageModel,
    /// Scorer of the responses, if there is one.
    pub rollouts: Option<&'a Rollouts<'a>>,
    /// Queries, used again from the start if there are fewer than `pairs`.
    pub queries: &'a [String],
    pub task: &'a config::Task,
    /// Number of pairs in each contest.
    pub pairs: usize,
    /// Queries continued side by side: changes memory, not results.
    pub queries_at_once: usize,
    pub seed: u64,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

/// A contestant's responses in one contest.
#[derive(Default)]
struct SideResponses {
    texts: Vec<String>,
    scores: Vec<f64>,
    /// True for each valid response; empty if the responses were not scored.
    valid: Vec<bool>,
    /// `log π − log ρ` of each response.
    log_ratios: Vec<f64>,
    /// Truncated responses in tokens.
    tokens: Vec<Vec<u32>>,
}

impl Tournament<'_> {
    /// Lets both contestants of each match continue the queries anew, and a labeler choose. A response is shown once,
    /// so that nobody gets to know a contestant by its responses.
    ///
    /// # Errors
    /// [`Error::Usage`] for a match without two contestants, and for a best of several without a reward model. Fails
    /// for a query that a model cannot read, when the device fails and when the run is interrupted, and with the errors
    /// of [`judge_pairs`].
    pub fn run(
        &self,
        contestants: &[Contestant<'_>],
        matches: &[Match],
        labeler: &mut dyn Labeler,
    ) -> Result<TournamentResult> {
        let queries = texts_of(self).collect::<HashSet<_>>().len();
        if queries < self.pairs {
            self.progress.say(&format!(
                "only {queries} different queries are used for {} pairs, so the true intervals are wider than those \
                 shown",
                self.pairs
            ));
        }
        let mut sides = self.draw(contestants, matches)?;
        let pairs = |(candidate, baseline): &mut (SideResponses, SideResponses)| -> Vec<Pair> {
            let [candidate, baseline] = [candidate, baseline].map(|side| std::mem::take(&mut side.texts));
            let pair = |((candidate, baseline), query): ((String, String), &String)| Pair {
                query: query.clone(),
                candidate,
                baseline,
            };
            candidate.into_iter().zip(baseline).zip(texts_of(self)).map(pair).collect()
        };
        let pairs: Vec<Vec<Pair>> = sides.iter_mut().map(pairs).collect();
        let mut watched = Watched { labeler, interrupt: &self.interrupt, progress: self.progress };
        let win_rates = judge_pairs(&pairs, &mut watched, self.seed)?;
        let standings = standings(contestants, matches, &sides);
        let name = |place: usize| contestants.get(place).map_or_else(String::new, |one| one.name.clone());
        let mut contests = Vec::new();
        for (((&(one, other), (candidate, baseline)), win_rate), pairs) in
            matches.iter().zip(sides).zip(win_rates).zip(pairs)
        {
            contests.push(Contest {
                candidate: name(one),
                baseline: name(other),
                win_rate,
                pairs,
                candidate_scores: candidate.scores,
                baseline_scores: baseline.scores,
            });
        }
        Ok(TournamentResult { standings, contests, queries })
    }

    /// Counts what is not read of the queries, each query once.
    ///
    /// # Errors
    /// Fails for a query that the reference cannot read.
    pub fn left_out(&self) -> Result<LeftOut> {
        let (task, mut left_out) = (Task::new(self.task, self.reference)?, LeftOut::default());
        for text in self.queries.iter().take(self.pairs) {
            task.encode_query(self.reference, text, &mut left_out)?;
        }
        Ok(left_out)
    }

    fn draw(&self, contestants: &[Contestant<'_>], matches: &[Match]) -> Result<Vec<(SideResponses, SideResponses)>> {
        let texts: Vec<&String> = texts_of(self).collect();
        let total = (2 * matches.len() * texts.len()) as u64;
        let mut progress = Progress::new("continuing", total, "queries", self.progress);
        let mut responses = |contestant: &Contestant<'_>, stream: u64| {
            self.check(contestant)?;
            let mut responses = SideResponses::default();
            let at_once = queries_at_once(self.queries_at_once, contestant.best_of);
            for (number, texts) in texts.chunks(at_once).enumerate() {
                if self.interrupt.requested() {
                    return Err(Error::Interrupted { checkpoint: None });
                }
                self.continue_with(contestant, texts, stream, number * at_once, &mut responses)?;
                progress.advance(texts.len() as u64);
            }
            Ok(responses)
        };
        let contestant = |place: usize| {
            let missing = || Error::usage(format!("there is no contestant {place}"), "they are counted from 0");
            contestants.get(place).ok_or_else(missing)
        };
        let drawn = matches.iter().map(|&(candidate, baseline)| {
            let (candidate, baseline) = (contestant(candidate)?, contestant(baseline)?);
            let first = 2 * number_of_match(candidate.number, baseline.number);
            Ok((responses(candidate, first)?, responses(baseline, first + 1)?))
        });
        let drawn = drawn.collect();
        progress.finish();
        drawn
    }

    fn check(&self, contestant: &Contestant<'_>) -> Result<()> {
        match (contestant.best_of, self.rollouts) {
            (0, _) => Err(Error::usage("best of 0 responses: there is none to choose", "use 1 or more")),
            (2.., None) => Err(Error::usage(
                format!("no reward model chooses the best of {} responses", contestant.best_of),
                "give a reward model",
            )),
            _ => Ok(()),
        }
    }

    fn continue_with(
        &self,
        contestant: &Contestant<'_>,
        texts: &[&String],
        stream: u64,
        first: usize,
        drawn: &mut SideResponses,
    ) -> Result<()> {
        let Contestant { model, best_of, .. } = *contestant;
        let task = Task::new(self.task, model)?;
        // Shortened queries are counted once, in `left_out`.
        let cut = &mut LeftOut::default();
        let queries = texts.iter().map(|query| task.encode_query(model, query, cut)).collect::<Result<Vec<_>>>()?;
        let sampling = Sampling { responses_per_query: best_of, ..task.sampling };
        let length = sampling.response_length;
        let seed = self.seed;
        let numbers = |row: usize| uniform(seed, Stream::Evaluation, stream, (first * best_of + row) as u64, length);
        let contexts = task.contexts(&queries);
        let sampled = sample(&model.transformer, None, &contexts, &sampling, numbers, &self.interrupt)?;
        let of_responses: Vec<Vec<u32>> =
            queries.iter().flat_map(|q| std::iter::repeat_n(q.clone(), best_of)).collect();
        let (scores, valid) = match self.rollouts {
            Some(rollouts) => rollouts.score(&of_responses, &sampled.responses, &self.interrupt)?,
            None => Default::default(),
        };
        for query in 0..queries.len() {
            let group = query * best_of..(query + 1) * best_of;
            let place = (first + query) as u64;
            let best = best_at_random(scores.get(group.clone()).unwrap_or_default(), self.seed, stream, place);
            let row = group.start + best;
            let response = sampled.responses.get(row).map_or(&[][..], Vec::as_slice);
            drawn.texts.push(task.decode_response(model, response)?);
            drawn.tokens.push(task.truncation.kept(response).to_vec());
            drawn.scores.extend(scores.get(row));
            drawn.valid.extend(valid.get(row));
        }
        if best_of == 1 {
            drawn.log_ratios.extend(self.log_ratios(&contexts, &task, &sampled)?);
        }
        Ok(())
    }

    /// Returns `log π − log ρ` of each response, summed over its tokens.
    fn log_ratios(&self, contexts: &[Vec<u32>], task: &Task, sampled: &Sampled) -> Result<Vec<f64>> {
        let Self { reference, .. } = self;
        let theirs = response_log_probs(
            &reference.transformer,
            lm::Responses::new(contexts, &sampled.responses),
            task.sampling.temperature,
            &MicroBatches::until(&self.interrupt, QUERIES_AT_ONCE),
        )?;
        let row = |(ours, theirs): (&Vec<f32>, Vec<f64>)| {
            ours.iter().zip(theirs).map(|(&our, their)| f64::from(our) - their).sum()
        };
        Ok(sampled.log_probs.iter().zip(theirs).map(row).collect())
    }
}

/// Returns how many queries, at most `most`, go together if each has `best_of` responses: no more responses than are
/// sampled side by side.
pub(super) fn queries_at_once(most: usize, best_of: usize) -> usize {
    (ROWS_AT_ONCE / best_of.max(1)).clamp(1, most.max(1))
}

/// Labeler whose progress is shown and whom an interruption stops. People have progress and interruption of their own.
struct Watched<'a> {
    labeler: &'a mut dyn Labeler,
    interrupt: &'a Interrupt,
    progress: Mode,
}

/// Number of pairs judged between two checks for an interruption.
const PAIRS_AT_ONCE: usize = 256;

impl Labeler for Watched<'_> {
    fn name(&self) -> &str {
        self.labeler.name()
    }

    fn judge(&mut self, query: &str, responses: &[String]) -> Result<Judgment> {
        self.labeler.judge(query, responses)
    }

    fn judge_all(&mut self, asked: &[(String, Vec<String>)]) -> Result<Vec<Judgment>> {
        if self.labeler.wants_all_at_once() || asked.len() <= PAIRS_AT_ONCE {
            return self.labeler.judge_all(asked);
        }
        let mut progress = Progress::new("judging", asked.len() as u64, "pairs", self.progress);
        let mut judgments = Vec::with_capacity(asked.len());
        for some in asked.chunks(PAIRS_AT_ONCE) {
            if self.interrupt.requested() {
                return Err(Error::Interrupted { checkpoint: None });
            }
            judgments.extend(self.labeler.judge_all(some)?);
            progress.advance(some.len() as u64);
        }
        progress.finish();
        Ok(judgments)
    }
}

/// Returns the index of the highest score, at random among equal ones. Its random numbers are separate from those of
/// the contestants and of judging.
fn best_at_random(scores: &[f64], seed: u64, stream: u64, query: u64) -> usize {
    let highest = Judgment::all_highest(scores);
    let place = match highest.len() {
        0 | 1 => 0,
        count => below(count, &mut generator(seed, Stream::Evaluation, (1 << 33) + stream, query)),
    };
    highest.get(place).copied().unwrap_or(0)
}

/// Returns the queries of the pairs, in their order.
fn texts_of<'a>(judging: &Tournament<'a>) -> impl Iterator<Item = &'a String> + use<'a> {
    judging.queries.iter().cycle().take(judging.pairs)
}

/// Returns a number for two contestants, whichever comes first: matches of lower-numbered contestants have lower
/// numbers.
fn number_of_match(one: u64, other: u64) -> u64 {
    let (low, high) = (one.min(other), one.max(other));
    high * high.saturating_sub(1) / 2 + low
}

/// Summarizes all responses of each contestant.
fn standings(
    contestants: &[Contestant<'_>],
    matches: &[Match],
    sides: &[(SideResponses, SideResponses)],
) -> Vec<Standing> {
    let standing = |(place, contestant): (usize, &Contestant<'_>)| {
        let of_match = |(&(one, other), (candidate, baseline)): (&Match, &'_ (SideResponses, SideResponses))| {
            let of_side = |is_it: bool, side: &SideResponses| match is_it {
                true => ((side.scores.clone(), side.valid.clone()), side.log_ratios.clone()),
                false => Default::default(),
            };
            [of_side(one == place, candidate), of_side(other == place, baseline)]
        };
        let (scored, log_ratios): (Vec<_>, Vec<_>) = matches.iter().zip(sides).flat_map(of_match).unzip();
        let (scores, valid): (Vec<_>, Vec<_>) = scored.into_iter().unzip();
        let valid: Vec<f64> = valid.concat().into_iter().map(|valid| f64::from(u8::from(valid))).collect();
        let best_of = contestant.best_of as f64;
        let kl = match contestant.best_of {
            1 => mean(&log_ratios.concat()).unwrap_or(0.0),
            _ => best_of.ln() - (best_of - 1.0) / best_of,
        };
        Standing {
            name: contestant.name.clone(),
            kl,
            score: mean(&scores.concat()),
            valid: mean(&valid),
            variety: variety_of(place, matches, sides),
            bits_per_byte: None,
        }
    };
    contestants.iter().enumerate().map(standing).collect()
}

/// Measures the variety of a contestant's responses in its first match: shares in contests of equal size can be compared.
fn variety_of(place: usize, matches: &[Match], sides: &[(SideResponses, SideResponses)]) -> Option<Variety> {
    let (&(one, _), (candidate, baseline)) =
        matches.iter().zip(sides).find(|&(&(one, other), _)| [one, other].contains(&place))?;
    let side = if one == place { candidate } else { baseline };
    Some(Variety::of(side.tokens.iter().map(Vec::as_slice)))
}

#[cfg(test)]
mod tests {
    use super::super::contestant::matches;
    use super::*;

    #[test]
    fn the_first_meets_the_others_or_everybody_meets_everybody() {
        assert_eq!(matches(3, false), [(0, 1), (0, 2)]);
        assert_eq!(matches(3, true), [(0, 1), (0, 2), (1, 2)]);
        assert!(matches(1, true).is_empty() && matches(0, false).is_empty());
    }

    #[test]
    fn of_equal_scores_no_place_is_favoured_and_of_others_the_highest_is_taken() {
        let taken = |scores: &[f64], query| best_at_random(scores, 1, 0, query);
        let mut counts = [0; 3];
        (0..600).for_each(|query| counts[taken(&[-1.0, -1.0, -1.0], query)] += 1);
        // 200 each, with a standard deviation of 12.
        assert!(counts.iter().all(|count| (150..250).contains(count)), "{counts:?}");
        assert!((0..50).all(|query| taken(&[0.0, 2.0, 1.0], query) == 1 && taken(&[0.0, 2.0, 2.0], query) > 0));
        assert_eq!(taken(&[], 0), 0);
    }

    #[test]
    fn every_match_has_a_number_of_its_own() {
        let numbers: Vec<u64> =
            matches(6, true).iter().map(|&(one, other)| number_of_match(one as u64, other as u64)).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..15).collect::<Vec<u64>>());
        assert_eq!(number_of_match(3, 1), number_of_match(1, 3));
    }
}
