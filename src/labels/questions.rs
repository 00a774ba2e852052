//! Questions of a labelling run, with responses sampled from a policy.

use std::collections::HashSet;

use crate::data::LeftOut;
use crate::device::DeviceMemory;
use crate::error::Result;
use crate::labels::{LabelLog, Question};
use crate::lm::{LanguageModel, Sampling, sample};
use crate::platform::interrupt::Interrupt;
use crate::random::{Stream, below, generator, shuffled, uniform};
use crate::task::Task;
use crate::training::memory::{Inference, Memory};

/// Bytes of memory that the log takes for one comparison, whose texts stay in the file.
const OF_A_COMPARISON: u64 = 200;

/// Questions of a labelling run. The seed and the number of a question determine its query, its responses, and their
/// order on the screen.
#[derive(Debug)]
pub struct Questions<'a> {
    policy: &'a LanguageModel,
    policy_name: &'a str,
    task: Task,
    queries: &'a [String],
    /// Tokens of the queries, as the policy reads them.
    tokens: Vec<Vec<u32>>,
    responses_per_query: usize,
    seed: u64,
}

impl<'a> Questions<'a> {
    /// Creates questions about responses of `policy`, which the comparisons record as `policy_name`.
    ///
    /// # Errors
    /// Fails for a query that the policy cannot read.
    pub fn new(
        policy: &'a LanguageModel,
        policy_name: &'a str,
        task: Task,
        queries: &'a [String],
        responses_per_query: usize,
        seed: u64,
    ) -> Result<Self> {
        // Shortened queries are already counted where the queries are read.
        let cut = &mut LeftOut::default();
        let tokens = queries.iter().map(|query| task.encode_query(policy, query, cut));
        let tokens = tokens.collect::<Result<Vec<_>>>()?;
        Ok(Self { policy, policy_name, task, queries, tokens, responses_per_query, seed })
    }

    /// Returns the number of responses to choose from.
    pub fn responses_per_query(&self) -> usize {
        self.responses_per_query
    }

    /// Returns how many questions, at most `most`, fit into `device_memory` together, and the memory that `comparisons`
    /// comparisons take.
    pub(super) fn that_fit(
        &self,
        most: usize,
        comparisons: usize,
        device_memory: DeviceMemory,
    ) -> Result<(usize, Memory)> {
        let longest_query = self.tokens.iter().map(Vec::len).max().unwrap_or(0);
        let (response, responses) = (self.task.sampling.response_length, self.responses_per_query);
        let drawing = Inference {
            models: 1,
            rows: most * responses,
            responses_per_query: responses,
            context: self.task.longest_row(longest_query) - response,
            response,
            rated: false,
            kept: OF_A_COMPARISON.saturating_mul(comparisons as u64),
        };
        let hint = "lower labels.responses_per_query, task.response_length_tokens or labels.comparisons, or use a smaller \
                    model";
        let (rows, memory) = drawing.rows_that_fit(self.policy.config(), responses, device_memory, hint)?;
        Ok((rows / responses, memory))
    }

    /// Returns the numbers of the questions that the log has no answer to, in ascending order.
    pub fn open_numbers(&self, log: &LabelLog) -> impl Iterator<Item = usize> + use<> {
        let answers = log.lines().iter().filter(|line| line.is_answer());
        let answered: HashSet<usize> = answers.filter_map(|answer| number_of(self.seed, &answer.id)).collect();
        (0..).filter(move |number| !answered.contains(number))
    }

    /// Makes the questions with these numbers, whose responses are sampled from the policy.
    ///
    /// # Errors
    /// The errors of [`sample`].
    pub fn sample(&self, numbers: &[usize], interrupt: &Interrupt) -> Result<Vec<Question>> {
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
        let drawn = sample(&policy.transformer, None, &contexts, &sampling, uniforms, interrupt)?;
        let groups = drawn.responses.chunks(self.responses_per_query);
        numbers
            .iter()
            .zip(picked)
            .zip(groups)
            .map(|((&number, query), group)| self.question(number, query, group))
            .collect()
    }

    /// Returns the id of a question. The name of an updated policy is part of it, because the same number in another
    /// round is another question.
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

/// Returns the number of a question from its id, which begins with the seed and the number.
fn number_of(seed: u64, id: &str) -> Option<usize> {
    id.strip_prefix(&format!("{seed}-"))?.split('-').next()?.parse().ok()
}
