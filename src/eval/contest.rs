//! Several models continue the same queries, and a labeler says, two by two, which did it better.

use crate::config;
use crate::error::Result;
use crate::labels::{Judgment, Labeler};
use crate::lm::{LanguageModel, Sampled, Sampling, Task, sample};
use crate::policy::{Judges, Rows, mean_of_sums, response_log_probs};
use crate::run::progress::{Mode, Progress};
use crate::run::random::{Stream, generator, uniform};
use crate::statistics::mean;

use super::win_rate::{Pair, WinRate, judge_pairs};

/// Queries continued side by side.
const QUERIES_AT_ONCE: usize = 64;

/// A model that is judged.
#[derive(Debug, Clone)]
pub struct Contestant<'a> {
    pub name: String,
    pub model: &'a LanguageModel,
    /// Of so many responses to each query the one is taken that the reward model gives the most; with 1,
    /// the one there is.
    pub best_of: usize,
}

/// What a contestant wrote.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub name: String,
    /// A response to each query, as a labeler sees it.
    pub texts: Vec<String>,
    /// Of each, the reward model's score, or the penalty where it cannot be cut; empty without one.
    pub scores: Vec<f64>,
    /// KL from the reference, nats a response: estimated on the responses, or the most that the best of N
    /// can have, ln N − (N − 1)/N.
    pub kl: f64,
}

impl Entry {
    /// The mean score, if there are any.
    pub fn mean_score(&self) -> Option<f64> {
        mean(&self.scores)
    }
}

/// One contestant against another.
#[derive(Debug, Clone)]
pub struct Contest {
    pub candidate: String,
    pub baseline: String,
    pub win_rate: WinRate,
    pub pairs: Vec<Pair>,
}

/// Contestants and what they continue. All read the same tokens.
pub struct Judging<'a> {
    /// KL is measured from it.
    pub reference: &'a LanguageModel,
    /// Gives scores.
    pub judges: Option<&'a Judges<'a>>,
    /// From the start again if there are fewer than `pairs`.
    pub queries: &'a [String],
    pub task: &'a config::Task,
    /// Of each contest.
    pub pairs: usize,
    pub seed: u64,
    pub progress: Mode,
}

impl Judging<'_> {
    /// Lets each contestant continue each query.
    ///
    /// # Errors
    /// For a query a model cannot read, and when the device fails.
    pub fn draw(&self, contestants: &[Contestant<'_>]) -> Result<Vec<Entry>> {
        let texts: Vec<&String> = self.queries.iter().cycle().take(self.pairs).collect();
        let total = (texts.len() * contestants.len()) as u64;
        let mut progress = Progress::new("continuing", total, "queries", self.progress);
        let mut entries = Vec::new();
        for (side, contestant) in contestants.iter().enumerate() {
            let mut drawn = Drawn::default();
            for (number, texts) in texts.chunks(QUERIES_AT_ONCE).enumerate() {
                self.continue_with(contestant, texts, (side, number * QUERIES_AT_ONCE), &mut drawn)?;
                progress.advance(texts.len() as u64);
            }
            let best_of = contestant.best_of as f64;
            let kl = match contestant.best_of {
                1 => mean_of_sums(&drawn.log_ratios),
                _ => best_of.ln() - (best_of - 1.0) / best_of,
            };
            entries.push(Entry { name: contestant.name.clone(), texts: drawn.texts, scores: drawn.scores, kl });
        }
        progress.finish();
        Ok(entries)
    }

    /// Lets a labeler choose in each pair of each match, a match being two entries by their place.
    ///
    /// # Errors
    /// As [`judge_pairs`].
    pub fn judge(
        &self,
        entries: &[Entry],
        matches: &[(usize, usize)],
        labeler: &mut dyn Labeler,
    ) -> Result<Vec<Contest>> {
        let met: Vec<(&Entry, &Entry)> =
            matches.iter().filter_map(|&(one, other)| Some((entries.get(one)?, entries.get(other)?))).collect();
        let texts = || self.queries.iter().cycle().take(self.pairs);
        let pairs = |(candidate, baseline): &(&Entry, &Entry)| -> Vec<Pair> {
            let both = candidate.texts.iter().zip(&baseline.texts).zip(texts());
            let pair = |((candidate, baseline), query): ((&String, &String), &String)| Pair {
                query: query.clone(),
                candidate: candidate.clone(),
                baseline: baseline.clone(),
            };
            both.map(pair).collect()
        };
        let pairs: Vec<Vec<Pair>> = met.iter().map(pairs).collect();
        let win_rates = judge_pairs(&pairs, labeler, &mut generator(self.seed, Stream::Evaluation, JUDGING, 0))?;
        let contest = |(((candidate, baseline), win_rate), pairs): (((&Entry, &Entry), WinRate), Vec<Pair>)| Contest {
            candidate: candidate.name.clone(),
            baseline: baseline.name.clone(),
            win_rate,
            pairs,
        };
        Ok(met.into_iter().zip(win_rates).zip(pairs).map(contest).collect())
    }

    fn continue_with(
        &self,
        contestant: &Contestant<'_>,
        texts: &[&String],
        (side, first): (usize, usize),
        drawn: &mut Drawn,
    ) -> Result<()> {
        let Contestant { model, best_of, .. } = *contestant;
        let task = Task::new(self.task, model)?;
        let queries = texts.iter().map(|query| task.encode_query(model, query)).collect::<Result<Vec<_>>>()?;
        let sampling = Sampling { responses_per_query: best_of, ..task.sampling };
        let length = sampling.response_length;
        let numbers =
            |row: usize| uniform(self.seed, Stream::Evaluation, side as u64, (first * best_of + row) as u64, length);
        let contexts = task.contexts(&queries);
        let sampled = sample(&model.transformer, &model.config, None, &contexts, &sampling, numbers)?;
        let of_responses: Vec<Vec<u32>> =
            queries.iter().flat_map(|q| std::iter::repeat_n(q.clone(), best_of)).collect();
        let scores = match self.judges {
            Some(judges) => judges.score(&of_responses, &sampled.responses)?.0,
            None => Vec::new(),
        };
        for query in 0..queries.len() {
            let group = query * best_of..(query + 1) * best_of;
            let best = scores.get(group.clone()).and_then(Judgment::of_highest).map_or(0, |judgment| judgment.best);
            let row = group.start + best;
            let response = sampled.responses.get(row).map_or(&[][..], Vec::as_slice);
            drawn.texts.push(task.decode_response(model, response)?);
            drawn.scores.extend(scores.get(row));
        }
        if best_of == 1 {
            drawn.log_ratios.extend(self.log_ratios(&contexts, &task, &sampled)?);
        }
        Ok(())
    }

    /// `log π − log ρ` of each token.
    fn log_ratios(&self, contexts: &[Vec<u32>], task: &Task, sampled: &Sampled) -> Result<Rows> {
        let Self { reference, .. } = self;
        let theirs = response_log_probs(
            &reference.transformer,
            &reference.config,
            contexts,
            &sampled.responses,
            task.sampling.temperature,
            QUERIES_AT_ONCE,
        )?;
        let row = |(ours, theirs): (&Vec<f32>, Vec<f64>)| {
            ours.iter().zip(theirs).map(|(&our, their)| f64::from(our) - their).collect()
        };
        Ok(sampled.log_probs.iter().zip(theirs).map(row).collect())
    }
}

/// The random numbers of judging, beside those of the contestants, which are numbered from 0.
const JUDGING: u64 = 1 << 32;

/// What a contestant wrote so far.
#[derive(Default)]
struct Drawn {
    texts: Vec<String>,
    scores: Vec<f64>,
    log_ratios: Rows,
}
