//! How likely a language model finds texts, in bits per byte: a measure of fluency that models with other tokens can be
//! compared by.

use crate::error::Result;
use crate::lm::{LanguageModel, MicroBatches, Responses};
use crate::platform::Interrupt;
use crate::policy::response_log_probs;
use crate::task::Task;

use super::contest::QUERIES_AT_ONCE;

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
