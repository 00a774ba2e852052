//! How likely a language model finds texts, in bits per byte: a measure of fluency that models with other tokens can be
//! compared by.

use crate::error::Result;
use crate::lm::{LanguageModel, MicroBatches, Responses};
use crate::platform::Interrupt;
use crate::policy::response_log_probs;
use crate::task::Task;

use super::contest::{Contest, QUERIES_AT_ONCE, TournamentResult};
use super::win_rate::Pair;

/// Returns the bits per byte of responses, each after its query, under `model`: −Σ log₂ p over the bytes of all
/// responses. `None` if all responses are empty.
///
/// # Errors
/// Fails for a text that the model cannot read, when the device fails and when the run is interrupted.
pub fn bits_per_byte(model: &LanguageModel, texts: &[(&str, &str)], interrupt: &Interrupt) -> Result<Option<f64>> {
    let mut rows = Vec::new();
    for (query, response) in texts.iter().filter(|(_, response)| !response.is_empty()) {
        let query = Task::begin(model, model.tokenizer.encode_beginning(query)?);
        rows.push((query, model.tokenizer.encode(response)?));
    }
    let bytes: usize = texts.iter().map(|(_, response)| response.len()).sum();
    // A batch holds responses of one length.
    rows.sort_by_key(|(_, response)| response.len());
    let mut nats = 0.0;
    for of_one_length in rows.chunk_by(|(_, one), (_, other)| one.len() == other.len()) {
        let (queries, responses): (Vec<_>, Vec<_>) = of_one_length.iter().cloned().unzip();
        let micro_batches = MicroBatches::until(interrupt, QUERIES_AT_ONCE);
        let responses = Responses::new(&queries, &responses);
        let log_probs = response_log_probs(&model.transformer, responses, 1.0, &micro_batches)?;
        nats -= log_probs.iter().flatten().sum::<f64>();
    }
    Ok((bytes > 0).then(|| nats / std::f64::consts::LN_2 / bytes as f64))
}

impl TournamentResult {
    /// Measures the bits per byte of each contestant's responses under `model`; see [`bits_per_byte`].
    ///
    /// # Errors
    /// The errors of [`bits_per_byte`].
    pub fn measure_bits_per_byte(&mut self, model: &LanguageModel, interrupt: &Interrupt) -> Result<()> {
        for standing in &mut self.standings {
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
            standing.bits_per_byte = bits_per_byte(model, &texts, interrupt)?;
        }
        Ok(())
    }
}
