//! Draws the responses that a labeler compares, and those that rewards are normalized on.

use std::collections::HashSet;

use super::fit::NormalizationSamples;
use crate::data::LeftOut;
use crate::data::comparisons::{Comparison, Record};
use crate::error::Result;
use crate::labels::Question;
use crate::lm::{LanguageModel, Sampling, Task, sample};
use crate::run::interrupt::Interrupt;
use crate::run::random::{Stream, below, generator, shuffled, uniform};

/// Draws the questions of a run. Each is known by its number, which with the seed decides the query, the
/// responses, and their order on the screen.
#[derive(Debug)]
pub struct Questions<'a> {
    policy: &'a LanguageModel,
    policy_name: &'a str,
    task: Task,
    queries: &'a [String],
    /// The queries as the policy reads them.
    tokens: Vec<Vec<u32>>,
    responses_per_query: usize,
    seed: u64,
}

impl<'a> Questions<'a> {
    /// Questions about responses of `policy`, which comparisons will know as `policy_name`.
    ///
    /// # Errors
    /// For a query the policy cannot read.
    pub fn new(
        (policy, policy_name): (&'a LanguageModel, &'a str),
        task: Task,
        queries: &'a [String],
        responses_per_query: usize,
        seed: u64,
    ) -> Result<Self> {
        // What is cut is counted where the queries are read.
        let cut = &mut LeftOut::default();
        let tokens = queries.iter().map(|query| task.encode_query(policy, query, cut));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        Ok(Self { policy, policy_name, task, queries, tokens, responses_per_query, seed })
    }

    /// The numbers of questions that a log does not hold, from the lowest on.
    pub fn open_numbers(&self, records: &[Record]) -> impl Iterator<Item = usize> + use<> {
        let number = |answer: &Comparison| number_of(self.seed, &answer.id);
        let answered: HashSet<usize> = records.iter().filter_map(Record::answer).filter_map(number).collect();
        (0..).filter(move |number| !answered.contains(number))
    }

    /// The questions of these numbers.
    ///
    /// # Errors
    /// As [`sample`].
    pub fn draw(&self, numbers: &[usize], interrupt: &Interrupt) -> Result<Vec<Question>> {
        let query = |number: &usize| {
            below(self.tokens.len(), &mut generator(self.seed, Stream::Queries, 1 << 32, *number as u64))
        };
        let picked: Vec<usize> = numbers.iter().map(query).collect();
        let contexts: Vec<Vec<u32>> =
            picked.iter().filter_map(|&index| self.tokens.get(index)).map(|query| self.task.context(query)).collect();
        let sampling = Sampling { responses_per_query: self.responses_per_query, ..self.task.sampling };
        let uniforms = |row: usize| {
            let number = numbers.get(row / self.responses_per_query).copied().unwrap_or_default();
            let row = number * self.responses_per_query + row % self.responses_per_query;
            uniform(self.seed, Stream::Labels, 0, row as u64, sampling.response_length)
        };
        let policy = self.policy;
        let drawn = sample(&policy.transformer, &policy.config, None, &contexts, &sampling, uniforms, interrupt)?;
        let groups = drawn.responses.chunks(self.responses_per_query);
        numbers
            .iter()
            .zip(picked)
            .zip(groups)
            .map(|((&number, query), group)| self.question(number, query, group))
            .collect()
    }

    /// With the policy in it, so that what another round asked under this number is something else.
    fn id_of(&self, number: usize) -> String {
        let of_round =
            if self.policy_name.starts_with("update-") { format!("-{}", self.policy_name) } else { String::new() };
        format!("{}-{number}{of_round}", self.seed)
    }

    fn question(&self, number: usize, query: usize, responses: &[Vec<u32>]) -> Result<Question> {
        let decode = |response: &Vec<u32>| self.task.decode_response(self.policy, response);
        let responses = responses.iter().map(decode).collect::<Result<Vec<_>>>()?;
        Ok(Question {
            id: self.id_of(number),
            query: self.queries.get(query).cloned().unwrap_or_default(),
            order: shuffled(responses.len(), &mut generator(self.seed, Stream::Labels, 1, number as u64)),
            responses,
            policy: self.policy_name.into(),
        })
    }
}

/// The number in an id that begins with the seed and a number.
fn number_of(seed: u64, id: &str) -> Option<usize> {
    id.strip_prefix(&format!("{seed}-"))?.split('-').next()?.parse().ok()
}

/// Responses of the reference to random queries, whole, as the original normalizes on them.
///
/// # Errors
/// As [`sample`].
pub fn draw_normalization_samples(
    model: &LanguageModel,
    queries: &[Vec<u32>],
    count: usize,
    task: &Task,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<NormalizationSamples> {
    let mut rng = generator(seed, Stream::Normalization, 0, 0);
    let chosen: Vec<Vec<u32>> =
        (0..count).filter_map(|_| queries.get(below(queries.len().max(1), &mut rng))).cloned().collect();
    let contexts = task.contexts(&chosen);
    let numbers = |row: usize| uniform(seed, Stream::Normalization, 1, row as u64, task.sampling.response_length);
    let drawn = sample(&model.transformer, &model.config, None, &contexts, &task.sampling, numbers, interrupt)?;
    Ok(NormalizationSamples { queries: chosen, responses: drawn.responses })
}
