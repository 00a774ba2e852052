//! Memory of judging.

use super::contest::{QUERIES_AT_ONCE, queries_at_once};
use crate::device::DeviceMemory;
use crate::error::Result;
use crate::lm::LanguageModel;
use crate::task::Task;
use crate::training::memory::{Inference, Memory};

/// Bytes of a pair on the host, with the copies that a labeler sees: for each token of a response, for each byte of the
/// query, and for texts and verdicts.
const OF_A_RESPONSE_TOKEN: usize = 12;
const OF_A_QUERY_BYTE: usize = 3;
const OF_A_PAIR: usize = 400;

/// Sizes of a tournament that decide its memory.
#[derive(Debug, Clone, Copy)]
pub struct TournamentSize {
    /// Models of the reference's shape that are loaded.
    pub models: usize,
    /// Largest number of responses from which a contestant takes the best.
    pub best_of: usize,
    pub matches: usize,
    /// Number of pairs in each match.
    pub pairs: usize,
}

/// Returns how many queries are continued side by side in `device_memory`, and the memory of judging.
///
/// # Errors
/// Fails when not even one query fits.
pub fn queries_that_fit(
    reference: &LanguageModel,
    task: &Task,
    queries: &[String],
    size: TournamentSize,
    device_memory: DeviceMemory,
) -> Result<(usize, Memory)> {
    let TournamentSize { models, best_of, matches, pairs } = size;
    let longest_bytes = queries.iter().map(String::len).max().unwrap_or(0);
    let response = task.sampling.response_length;
    let a_pair = OF_A_PAIR + 2 * OF_A_RESPONSE_TOKEN * response + OF_A_QUERY_BYTE * longest_bytes;
    // A token has a byte or more.
    let longest_query = longest_bytes.min(task.query_length);
    let one = Inference {
        models,
        rows: QUERIES_AT_ONCE,
        responses_per_query: 1,
        context: task.longest_row(longest_query) - response,
        response,
        rated: true,
        kept: (a_pair as u64).saturating_mul(matches as u64).saturating_mul(pairs as u64),
    };
    let hint = "lower eval.pairs, task.response_length_tokens or --best-of, or use a smaller model";
    let (of_one, memory) = one.rows_that_fit(reference.config(), 1, device_memory, hint)?;
    if best_of < 2 {
        return Ok((of_one, memory));
    }
    let rows = best_of * queries_at_once(QUERIES_AT_ONCE, best_of);
    let several = Inference { rows, responses_per_query: best_of, rated: false, ..one };
    let (of_several, larger) = several.rows_that_fit(reference.config(), best_of, device_memory, hint)?;
    let memory = if larger.total() > memory.total() { larger } else { memory };
    // If all rows of the best of several fit, the other contestants have the same batches as without it.
    let limit = if of_several == rows { QUERIES_AT_ONCE } else { of_several / best_of };
    Ok((of_one.min(limit).max(1), memory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::lm::STORYTELLER;
    use crate::lm::files::shipped;

    /// Other contestants must not change what a contestant writes, to the last digit.
    #[test]
    fn a_best_of_several_changes_no_other_batches_where_there_is_room() {
        let files = shipped(STORYTELLER).unwrap().unwrap();
        let model = LanguageModel::load(files, &crate::device::host()).unwrap();
        let task = Task::new(&config::Task::default(), &model).unwrap();
        let queries = ["The old house stood by the sea.".to_string()];
        let fit = |best_of: usize, free: u64| {
            let device_memory = DeviceMemory { free: Some(free), ..DeviceMemory::default() };
            queries_that_fit(
                &model,
                &task,
                &queries,
                TournamentSize { models: 3, best_of, matches: 2, pairs: 100 },
                device_memory,
            )
            .map(|(queries, _)| queries)
        };
        let all = [1, 4, 8, 1024].map(|best_of| fit(best_of, 8_000_000_000).unwrap());
        assert_eq!(all, [QUERIES_AT_ONCE; 4]);
        assert!((1..QUERIES_AT_ONCE).contains(&fit(4, 200_000_000).unwrap()));
        assert!(fit(1, 100_000_000).unwrap_err().hint().contains("eval.pairs"));
    }
}
