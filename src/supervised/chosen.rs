//! The responses that were chosen, as examples: the supervised counterpart of learning from a reward.

use super::examples::{Example, Examples};
use super::held_out::HeldOutExamples;
use super::train::Schedule;
use crate::config::Sft;
use crate::error::Result;
use crate::lm::{LanguageModel, Task};
use crate::reward::TokenComparison;
use crate::run::random::{Stream, generator, shuffled};

/// Of each comparison, the response that was chosen, after what the policy reads.
#[derive(Debug, Clone)]
pub struct Chosen(Vec<Example>);

impl Chosen {
    /// Responses without tokens teach nothing and are left out.
    pub fn of(comparisons: &[TokenComparison], task: &Task) -> Self {
        let example = |one: &TokenComparison| {
            let continuation = one.responses.get(one.best).filter(|response| !response.is_empty())?.clone();
            Some(Example { context: task.context(&one.query), continuation })
        };
        Self(comparisons.iter().filter_map(example).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the first of them continues.
    pub fn first_context(&self) -> Option<&Vec<u32>> {
        self.0.first().map(|example| &example.context)
    }

    /// Tokens of the longest.
    pub fn longest(&self) -> usize {
        self.0.iter().map(|one| one.context.len() + one.continuation.len()).max().unwrap_or(0)
    }

    /// To measure on.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn held_out(self, model: &LanguageModel) -> Result<HeldOutExamples> {
        let texts = self.0.iter().map(|example| model.tokenizer.decode(&example.continuation));
        let bytes = texts.map(|text| text.map(|text| text.len())).sum::<Result<usize>>()?;
        Ok(HeldOutExamples { examples: self.0, bytes })
    }
}

impl Examples for Chosen {
    fn of_step(&self, seed: u64, step: usize, size: usize) -> Vec<Example> {
        let mut taken = Vec::with_capacity(size);
        while taken.len() < size && !self.0.is_empty() {
            let number = step * size + taken.len();
            let (pass, first) = (number / self.0.len(), number % self.0.len());
            let order = shuffled(self.0.len(), &mut generator(seed, Stream::Data, pass as u64, 0));
            let rest = order.into_iter().skip(first).take(size - taken.len());
            taken.extend(rest.filter_map(|index| self.0.get(index)).cloned());
        }
        taken
    }
}

impl Sft {
    /// How it is trained on so many examples.
    pub fn schedule(&self, examples: usize) -> Schedule {
        Schedule {
            steps: (self.epochs * examples).div_ceil(self.batch_size),
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            warmup_steps: 0,
            decay_fraction: 1.0,
            checkpoint_every_steps: self.checkpoint_every_steps,
            evaluate_every_steps: self.evaluate_every_steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_reads_every_example_once_in_an_order_of_its_own() {
        let example = |id: u32| Example { context: vec![id], continuation: vec![id] };
        let chosen = Chosen((0..10).map(example).collect());
        let read: Vec<u32> = (0..5).flat_map(|step| chosen.of_step(1, step, 4)).map(|one| one.context[0]).collect();
        let sorted = |ids: &[u32]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        assert_eq!(sorted(&read[..10]), (0..10).collect::<Vec<_>>());
        assert_eq!(sorted(&read[10..]), (0..10).collect::<Vec<_>>());
        assert_ne!(read[..10], read[10..]);
    }
}
