//! Two models continue the same queries, and a labeler says which did it better.

use crate::config;
use crate::error::Result;
use crate::labels::Labeler;
use crate::lm::{LanguageModel, Sampled, Task, sample};
use crate::policy::{Judges, Rows, mean_of_sums, response_log_probs};
use crate::run::progress::{Mode, Progress};
use crate::run::random::{Stream, generator, uniform};

use super::win_rate::{Pair, WinRate, judge_pairs};

/// Pairs drawn side by side.
const PAIRS_AT_ONCE: usize = 64;

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

/// What a reward model gives the responses of a contest; the penalty where one cannot be cut.
#[derive(Debug, Clone)]
pub struct Scores {
    pub candidate: Vec<f64>,
    pub baseline: Vec<f64>,
}

impl Contest {
    /// Scores both sides.
    ///
    /// # Errors
    /// When the reward model cannot read a response, or the device fails.
    pub fn scores(&self, judges: &Judges<'_>) -> Result<Scores> {
        Ok(Scores {
            candidate: judges.score(&self.queries, &self.candidate_responses)?.0,
            baseline: judges.score(&self.queries, &self.baseline_responses)?.0,
        })
    }
}

/// A candidate against a baseline.
pub struct Judging<'a> {
    pub candidate: &'a LanguageModel,
    pub baseline: &'a LanguageModel,
    /// What both continue, from the start again if there are fewer than `pairs`.
    pub queries: &'a [String],
    pub task: &'a config::Task,
    pub pairs: usize,
    pub seed: u64,
    pub progress: Mode,
}

impl Judging<'_> {
    /// Lets each model continue each query, and the labeler choose.
    ///
    /// # Errors
    /// For a query a model cannot read, when the labeler fails, and when the device fails.
    pub fn run(&self, labeler: &mut dyn Labeler) -> Result<Contest> {
        let texts: Vec<&String> = self.queries.iter().cycle().take(self.pairs).collect();
        let tasks = (Task::new(self.task, self.candidate)?, Task::new(self.task, self.baseline)?);
        let mut progress = Progress::new("judging", texts.len() as u64, "pairs", self.progress);
        let mut drawn = Drawn::default();
        for texts in texts.chunks(PAIRS_AT_ONCE) {
            self.draw(texts, &tasks, &mut drawn)?;
            progress.advance(texts.len() as u64);
        }
        progress.finish();
        let win_rate = self.judge(&drawn.pairs, labeler)?;
        let kl = mean_of_sums(&drawn.log_ratios);
        let Drawn { pairs, queries, candidate_responses, baseline_responses, .. } = drawn;
        Ok(Contest { win_rate, pairs, queries, candidate_responses, baseline_responses, kl })
    }

    /// Lets a labeler choose in each pair.
    ///
    /// # Errors
    /// As [`judge_pairs`].
    pub fn judge(&self, pairs: &[Pair], labeler: &mut dyn Labeler) -> Result<WinRate> {
        judge_pairs(pairs, labeler, &mut generator(self.seed, Stream::Evaluation, 2, 0))
    }

    fn draw(&self, texts: &[&String], tasks: &(Task, Task), drawn: &mut Drawn) -> Result<()> {
        let first = drawn.pairs.len();
        let (queries, ours) = self.continue_with(self.candidate, &tasks.0, texts, (0, first))?;
        let (_, theirs) = self.continue_with(self.baseline, &tasks.1, texts, (1, first))?;
        for ((text, ours), theirs) in texts.iter().zip(&ours.responses).zip(&theirs.responses) {
            drawn.pairs.push(Pair {
                query: (*text).clone(),
                candidate: tasks.0.decode_response(self.candidate, ours)?,
                baseline: tasks.1.decode_response(self.baseline, theirs)?,
            });
        }
        drawn.log_ratios.extend(self.log_ratios(&tasks.0, &queries, &ours)?);
        drawn.queries.extend(queries);
        drawn.candidate_responses.extend(ours.responses);
        drawn.baseline_responses.extend(theirs.responses);
        Ok(())
    }

    /// The queries in tokens of the model, and its responses.
    fn continue_with(
        &self,
        model: &LanguageModel,
        task: &Task,
        texts: &[&String],
        (side, first): (u64, usize),
    ) -> Result<(Vec<Vec<u32>>, Sampled)> {
        let queries = texts.iter().map(|query| task.encode_query(model, query)).collect::<Result<Vec<_>>>()?;
        let length = task.sampling.response_length;
        let numbers = |row: usize| uniform(self.seed, Stream::Evaluation, side, (first + row) as u64, length);
        let contexts = task.contexts(&queries);
        let sampled = sample(&model.transformer, &model.config, None, &contexts, &task.sampling, numbers)?;
        Ok((queries, sampled))
    }

    /// `log π − log ρ` of each token; NaN between models that do not share a tokenizer.
    fn log_ratios(&self, task: &Task, queries: &[Vec<u32>], sampled: &Sampled) -> Result<Rows> {
        let reference = self.baseline;
        if !reference.tokenizer.is_same_as(&self.candidate.tokenizer) {
            return Ok(vec![vec![f64::NAN]; queries.len()]);
        }
        let (model, temperature) = (&reference.transformer, task.sampling.temperature);
        let responses = &sampled.responses;
        let contexts = task.contexts(queries);
        let theirs = response_log_probs(model, &reference.config, &contexts, responses, temperature, PAIRS_AT_ONCE)?;
        let row = |(ours, theirs): (&Vec<f32>, Vec<f64>)| {
            ours.iter().zip(theirs).map(|(&our, their)| f64::from(our) - their).collect()
        };
        Ok(sampled.log_probs.iter().zip(theirs).map(row).collect())
    }
}

/// What was drawn so far.
#[derive(Default)]
struct Drawn {
    pairs: Vec<Pair>,
    queries: Vec<Vec<u32>>,
    candidate_responses: Vec<Vec<u32>>,
    baseline_responses: Vec<Vec<u32>>,
    log_ratios: Rows,
}
