//! How likely a language model finds texts, in bits per byte: a measure of fluency that models with other tokens can be
//! compared by.

use crate::error::{Error, Result};
use crate::lm::{LanguageModel, MicroBatches, Responses};
use crate::platform::Interrupt;
use crate::policy::response_log_probs;
use crate::task::Task;

use super::contest::{Contest, TournamentResult};
use super::win_rate::Pair;

/// Number of characters of a text that an error shows.
const CHARACTERS_SHOWN: usize = 60;

/// Encodes a query and its response in the tokens of `model`.
fn row(model: &LanguageModel, query: &str, response: &str) -> Result<(Vec<u32>, Vec<u32>)> {
    let query = Task::begin(model, model.tokenizer.encode_beginning(query)?);
    let response = model.tokenizer.encode(response)?;
    if query.is_empty() {
        return Err(Error::failed("the model has no token to read before the response", "give every query some text"));
    }
    let (length, most) = (query.len() + response.len(), model.config().positions);
    if length > most {
        let what = format!("up to its end there are {length} tokens, and the model reads at most {most}");
        return Err(Error::failed(what, "take a model that reads longer texts"));
    }
    Ok((query, response))
}

/// Adds to a failure the text that it is about.
fn about(kind: &str, text: &str, error: Error) -> Error {
    match error {
        Error::Failed { what, hint } => {
            let shown: String = text.chars().take(CHARACTERS_SHOWN).collect();
            Error::failed(format!("{kind} {shown:?}: {what}"), hint)
        }
        other => other,
    }
}

/// Checks whether `model` can read the queries, before responses to them are sampled, and returns the tokens of the
/// longest.
///
/// # Errors
/// [`Error::Failed`] that names the query.
pub(super) fn check_queries<'a>(model: &LanguageModel, queries: impl IntoIterator<Item = &'a String>) -> Result<usize> {
    let tokens = |query: &'a String| {
        let (tokens, _) = row(model, query, "").map_err(|error| about("the query", query, error))?;
        Ok(tokens.len())
    };
    queries.into_iter().try_fold(0, |longest, query| Ok(tokens(query)?.max(longest)))
}

/// Returns the bits per byte of responses, each after its query, under `model`: −Σ log₂ p over the bytes of all
/// responses. `rows_at_once` responses are read together. `None` if all responses are empty.
///
/// # Errors
/// [`Error::Failed`] that names the response, for a text that the model cannot read. Fails when the device fails and
/// when the run is interrupted.
pub fn bits_per_byte(
    model: &LanguageModel,
    texts: &[(&str, &str)],
    rows_at_once: usize,
    interrupt: &Interrupt,
) -> Result<Option<f64>> {
    let mut rows = Vec::new();
    for (query, response) in texts.iter().filter(|(_, response)| !response.is_empty()) {
        rows.push(row(model, query, response).map_err(|error| about("the response", response, error))?);
    }
    let bytes: usize = texts.iter().map(|(_, response)| response.len()).sum();
    // A batch holds responses of one length.
    rows.sort_by_key(|(_, response)| response.len());
    let mut nats = 0.0;
    let rows_at_once = rows_at_once.max(1);
    let of_one_length = rows.chunk_by(|(_, one), (_, other)| one.len() == other.len());
    // Every core reads a micro-batch, so that more rows in a call would be more rows in memory.
    for batch in of_one_length.flat_map(|group| group.chunks(rows_at_once)) {
        let (queries, responses): (Vec<_>, Vec<_>) = batch.iter().cloned().unzip();
        let micro_batches = MicroBatches::until(interrupt, rows_at_once);
        let responses = Responses::new(&queries, &responses);
        let log_probs = response_log_probs(&model.transformer, responses, 1.0, &micro_batches)?;
        nats -= log_probs.iter().flatten().sum::<f64>();
    }
    Ok((bytes > 0).then(|| nats / std::f64::consts::LN_2 / bytes as f64))
}

impl TournamentResult {
    /// Measures the bits per byte of each contestant's responses under `model`; see [`bits_per_byte`]. After a failure,
    /// no contestant has a measurement.
    ///
    /// # Errors
    /// The errors of [`bits_per_byte`].
    pub fn measure_bits_per_byte(
        &mut self,
        model: &LanguageModel,
        rows_at_once: usize,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let measured = self.standings.iter().map(|standing| {
            let of_contest = |contest: &'_ Contest| {
                let (is_candidate, is_baseline) =
                    (contest.candidate == standing.name, contest.baseline == standing.name);
                let texts = |pair: &'_ Pair| {
                    let candidate = is_candidate.then(|| (pair.query.clone(), pair.candidate.clone()));
                    candidate.into_iter().chain(is_baseline.then(|| (pair.query.clone(), pair.baseline.clone())))
                };
                contest.pairs.iter().flat_map(texts).collect::<Vec<_>>()
            };
            let texts: Vec<(String, String)> = self.contests.iter().flat_map(of_contest).collect();
            let texts: Vec<(&str, &str)> = texts.iter().map(|(query, text)| (query.as_str(), text.as_str())).collect();
            bits_per_byte(model, &texts, rows_at_once, interrupt)
        });
        let measured = measured.collect::<Result<Vec<_>>>()?;
        for (standing, measured) in self.standings.iter_mut().zip(measured) {
            standing.bits_per_byte = measured;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::STORYTELLER;

    #[test]
    fn a_text_that_the_model_cannot_read_is_named() {
        let model = crate::models::open(STORYTELLER, &crate::device::host()).unwrap();
        let long = " the sea".repeat(model.config().positions);
        let error = bits_per_byte(&model, &[("By", &long)], 1, &Interrupt::new()).unwrap_err().to_string();
        assert!(error.starts_with("the response \" the sea the sea"), "{error}");
        assert!(error.contains("tokens, and the model reads at most") && error.len() < 200, "{error}");
        let error = check_queries(&model, [&"By".into(), &long]).unwrap_err().to_string();
        assert!(error.starts_with("the query \" the sea the sea"), "{error}");
        let error = bits_per_byte(&model, &[("", " the sea")], 1, &Interrupt::new()).unwrap_err().to_string();
        assert!(error.contains("no token to read before the response"), "{error}");
    }
}
