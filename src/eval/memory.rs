//! What judging takes.

use super::contest::{QUERIES_AT_ONCE, queries_at_once};
use crate::device::Room;
use crate::error::Result;
use crate::lm::memory::{Inference, Memory};
use crate::lm::{LanguageModel, Task};

/// Bytes that a pair takes on the host to the end, with the copies that a labeler sees: so many a token of
/// each response and of the query, and what texts and verdicts need however short they are.
const OF_A_RESPONSE_TOKEN: usize = 12;
const OF_A_QUERY_BYTE: usize = 3;
const OF_A_PAIR: usize = 400;

/// How many queries are continued side by side in `room`, and what judging takes with that: `models` of the
/// reference's shape are loaded, `best_of` is the largest of the contestants, and each of `matches` matches
/// has `pairs` pairs.
///
/// # Errors
/// When not even one query fits.
pub fn queries_that_fit(
    reference: &LanguageModel,
    task: &Task,
    queries: &[String],
    (models, best_of): (usize, usize),
    (matches, pairs): (usize, usize),
    room: Room,
) -> Result<(usize, Memory)> {
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
    let (of_one, memory) = one.rows_that_fit(&reference.config, 1, room, hint)?;
    if best_of < 2 {
        return Ok((of_one, memory));
    }
    let rows = best_of * queries_at_once(QUERIES_AT_ONCE, best_of);
    let several = Inference { rows, responses_per_query: best_of, rated: false, ..one };
    let (of_several, larger) = several.rows_that_fit(&reference.config, best_of, room, hint)?;
    let memory = if larger.total() > memory.total() { larger } else { memory };
    Ok((of_one.min(of_several / best_of).max(1), memory))
}
