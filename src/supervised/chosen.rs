//! Chosen responses as examples: the supervised counterpart of learning from a reward.

use super::examples::{Example, Examples};
use super::held_out::HeldOutExamples;
use super::train::Schedule;
use crate::config::Sft;
use crate::data::{LeftOut, Reason};
use crate::error::Result;
use crate::lm::LanguageModel;
use crate::random::{Stream, generator, shuffled};
use crate::reward::TokenComparison;
use crate::task::Task;

/// Examples of supervised fine-tuning: the chosen response of each comparison, after the context that the policy reads.
#[derive(Debug, Clone)]
pub struct Chosen {
    examples: Vec<Example>,
    passes: usize,
}

/// Lengths in tokens of the longest context and the longest continuation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Longest {
    pub context: usize,
    pub continuation: usize,
}

impl Longest {
    /// Returns the larger length of both contexts and of both continuations.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let (context, continuation) = (self.context.max(other.context), self.continuation.max(other.continuation));
        Self { context, continuation }
    }
}

impl Chosen {
    /// Creates the examples of one pass. Responses without tokens teach nothing; they are left out and counted.
    pub fn of(comparisons: &[TokenComparison], task: &Task, left_out: &mut LeftOut) -> Self {
        let example = |one: &TokenComparison| {
            let continuation = one.responses.get(one.best).filter(|response| !response.is_empty())?.clone();
            Some(Example { context: task.context(&one.query), continuation })
        };
        let examples: Vec<Example> = comparisons.iter().filter_map(example).collect();
        left_out.count(Reason::EmptyChosen, comparisons.len() - examples.len());
        Self { examples, passes: 1 }
    }

    /// Sets the number of passes, each of which has an order of its own.
    #[must_use]
    pub fn repeated(self, passes: usize) -> Self {
        Self { passes, ..self }
    }

    /// Returns the number of different examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Returns the number of examples in all passes.
    pub fn in_all(&self) -> usize {
        self.passes * self.examples.len()
    }

    /// Checks whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// Returns the context of the first example.
    pub fn first_context(&self) -> Option<&Vec<u32>> {
        self.examples.first().map(|example| &example.context)
    }

    /// Returns the lengths of the longest context and the longest response.
    pub fn longest(&self) -> Longest {
        let length = |one: &Example| Longest { context: one.context.len(), continuation: one.continuation.len() };
        self.examples.iter().map(length).fold(Longest::default(), Longest::max)
    }

    /// Returns the examples as a held-out set.
    ///
    /// # Errors
    /// Fails when the tokenizer fails.
    pub fn held_out(self, model: &LanguageModel) -> Result<HeldOutExamples> {
        let texts = self.examples.iter().map(|example| model.tokenizer.decode(&example.continuation));
        let bytes = texts.map(|text| text.map(|text| text.len())).sum::<Result<usize>>()?;
        Ok(HeldOutExamples { examples: self.examples, bytes })
    }
}

impl Examples for Chosen {
    /// Returns the examples of a step, fewer than `size` at the end of the last pass.
    fn of_step(&self, seed: u64, step: usize, size: usize) -> Vec<Example> {
        let count = self.examples.len();
        let end = ((step + 1) * size).min(self.passes * count);
        let mut taken = Vec::with_capacity(size);
        let mut number = step * size;
        while number < end {
            let (pass, first) = (number / count, number % count);
            let order = shuffled(count, &mut generator(seed, Stream::Data, pass as u64, 0));
            let rest = order.into_iter().skip(first).take(end - number);
            taken.extend(rest.filter_map(|index| self.examples.get(index)).cloned());
            number = step * size + taken.len();
        }
        taken
    }
}

impl Sft {
    /// Returns the schedule of supervised fine-tuning on these responses.
    pub fn schedule(&self, chosen: &Chosen) -> Schedule {
        Schedule {
            steps: chosen.in_all().div_ceil(self.batch_size),
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
        let chosen = Chosen { examples: (0..10).map(example).collect(), passes: 2 };
        let schedule = Sft { epochs: 2, batch_size: 6, ..Sft::default() }.schedule(&chosen);
        let steps: Vec<Vec<Example>> = (0..schedule.steps).map(|step| chosen.of_step(1, step, 6)).collect();
        assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6, 6, 2]);
        let read: Vec<u32> = steps.concat().iter().map(|one| one.context[0]).collect();
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
