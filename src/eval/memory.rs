//! Memory of judging.

use super::bits_per_byte::check_queries;
use super::contest::{QUERIES_AT_ONCE, queries_at_once};
use crate::device::DeviceMemory;
use crate::error::Result;
use crate::lm::LanguageModel;
use crate::task::Task;
use crate::training::memory::{Inference, Memory, halves};

/// Bytes of a pair on the host, with the copies that a labeler sees: for each token of a response, for each byte of the
/// query, and for texts and verdicts.
const OF_A_RESPONSE_TOKEN: usize = 12;
const OF_A_QUERY_BYTE: usize = 3;
const OF_A_PAIR: usize = 400;

/// Sizes of a tournament that decide its memory.
#[derive(Debug, Clone, Copy)]
pub struct TournamentSize<'a> {
    /// Models of the reference's shape that are loaded.
    pub models: usize,
    /// Largest number of responses from which a contestant takes the best.
    pub best_of: usize,
    pub matches: usize,
    /// Number of pairs in each match.
    pub pairs: usize,
    /// Model that reads the responses of all contestants afterwards, if there is one.
    pub reader: Option<Reader<'a>>,
}

/// A model that measures the bits per byte of responses.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    pub model: &'a LanguageModel,
    /// Tokens of the longest query.
    pub longest_query: usize,
    /// Tokens of the longest response: an estimate, because the reader has tokens of its own.
    pub longest_response: usize,
}

impl<'a> Reader<'a> {
    /// Returns the sizes for a model that reads the responses that `reference` samples to `queries`.
    ///
    /// # Errors
    /// Fails for a query that the model cannot read, which it names.
    pub fn new<'q>(
        model: &'a LanguageModel,
        queries: impl IntoIterator<Item = &'q String>,
        reference: &LanguageModel,
        task: &Task,
    ) -> Result<Self> {
        let longest_query = check_queries(model, queries)?;
        // Tokens of another model may be shorter than those in which the responses were sampled.
        let factor = if model.tokenizer.is_same_as(&reference.tokenizer) { 1 } else { 2 };
        Ok(Self { model, longest_query, longest_response: factor * task.sampling.response_length })
    }

    /// Returns the memory of judging while the reader is loaded, and of reading `rows` responses at a time afterwards.
    fn beside(&self, judging: Memory, rows: usize) -> Memory {
        let reading = Inference {
            models: 1,
            rows,
            responses_per_query: 1,
            context: self.longest_query,
            response: self.longest_response,
            rated: true,
            kept: 0,
        };
        let reading = reading.memory(self.model.config(), rows);
        let computed = |memory: &Memory| memory.total().saturating_sub(memory.weights).saturating_sub(memory.kept);
        let larger = if computed(&reading) > computed(&judging) { reading } else { judging };
        Memory {
            weights: judging.weights.saturating_add(reading.weights),
            kept: judging.kept,
            largest_buffer: judging.largest_buffer.max(reading.largest_buffer),
            ..larger
        }
    }
}

/// Returns how many queries are continued, and how many responses are read, side by side in `device_memory`, and the
/// memory of judging.
///
/// # Errors
/// Fails when not even one query fits.
pub fn queries_that_fit(
    reference: &LanguageModel,
    task: &Task,
    queries: &[String],
    size: TournamentSize<'_>,
    device_memory: DeviceMemory,
) -> Result<(usize, Memory)> {
    let hint = "lower eval.pairs, task.response_length_tokens or --best-of, or use smaller models";
    let mut least = Memory::default();
    for at_once in halves(QUERIES_AT_ONCE) {
        least = memory(reference, task, queries, size, at_once);
        if least.fits(device_memory) {
            return Ok((at_once, least));
        }
    }
    Err(least.does_not_fit(device_memory, hint.into()))
}

/// Estimates the memory of judging with `at_once` queries side by side.
fn memory(
    reference: &LanguageModel,
    task: &Task,
    queries: &[String],
    size: TournamentSize<'_>,
    at_once: usize,
) -> Memory {
    let TournamentSize { models, best_of, matches, pairs, reader } = size;
    let longest_bytes = queries.iter().map(String::len).max().unwrap_or(0);
    let response = task.sampling.response_length;
    let a_pair = OF_A_PAIR + 2 * OF_A_RESPONSE_TOKEN * response + OF_A_QUERY_BYTE * longest_bytes;
    let one = Inference {
        models,
        rows: at_once,
        responses_per_query: 1,
        context: task.longest_row(task.most_query_tokens(longest_bytes)) - response,
        response,
        rated: true,
        kept: (a_pair as u64).saturating_mul(matches as u64).saturating_mul(pairs as u64),
    };
    let mut judging = one.memory(reference.config(), at_once);
    if best_of > 1 {
        let rows = best_of * queries_at_once(at_once, best_of);
        let several = Inference { rows, responses_per_query: best_of, rated: false, ..one };
        let several = several.memory(reference.config(), rows);
        judging = if several.total() > judging.total() { several } else { judging };
    }
    reader.map_or(judging, |reader| reader.beside(judging, at_once))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::lm::STORYTELLER;
    use crate::lm::files::shipped;

    fn storyteller() -> LanguageModel {
        let files = shipped(STORYTELLER).unwrap().unwrap();
        LanguageModel::load(files, &crate::device::host()).unwrap()
    }

    fn fit_in(free: u64, model: &LanguageModel, size: TournamentSize<'_>) -> Result<(usize, Memory)> {
        let task = Task::new(&config::Task::default(), model)?;
        let queries = ["The old house stood by the sea.".to_string()];
        queries_that_fit(model, &task, &queries, size, DeviceMemory { free: Some(free), ..DeviceMemory::default() })
    }

    /// Other contestants must not change what a contestant writes, to the last digit.
    #[test]
    fn a_best_of_several_changes_no_other_batches_where_there_is_room() {
        let model = storyteller();
        let fit = |best_of, free| {
            let size = TournamentSize { models: 3, best_of, matches: 2, pairs: 100, reader: None };
            fit_in(free, &model, size).map(|(queries, _)| queries)
        };
        let all = [1, 4, 8, 1024].map(|best_of| fit(best_of, 8_000_000_000).unwrap());
        assert_eq!(all, [QUERIES_AT_ONCE; 4]);
        assert!((1..QUERIES_AT_ONCE).contains(&fit(4, 200_000_000).unwrap()));
        assert!(fit(1, 100_000_000).unwrap_err().hint().contains("eval.pairs"));
    }

    /// A large reader once counted as one more model of the contestants' shape.
    #[test]
    fn a_reader_takes_the_memory_of_its_own_shape_and_fewer_rows_where_it_is_short() {
        let model = storyteller();
        let fit = |reader, free| {
            let size = TournamentSize { models: 2, best_of: 1, matches: 1, pairs: 100, reader };
            fit_in(free, &model, size)
        };
        let reader = Some(Reader { model: &model, longest_query: 200, longest_response: 40 });
        let ((_, without), (rows, with)) = (fit(None, 1 << 40).unwrap(), fit(reader, 1 << 40).unwrap());
        assert_eq!(with.weights - without.weights, 4 * model.config().parameter_count() as u64);
        assert!(rows == QUERIES_AT_ONCE && with.total() > without.total() + with.weights - without.weights);
        let (fewer, least) = fit(reader, without.total()).unwrap();
        assert!(fewer < rows && least.total() < without.total(), "{fewer}");
    }
}
