//! Prediction of the held-out set.

use crate::device::read_floats;
use crate::error::Result;
use crate::lm::kernels::pick_log_probs;
use crate::lm::{LanguageModel, Tokenizer};
use crate::platform::{Mode, Progress};

use super::corpus::document_start;
use super::examples::{Example, ExampleBatch};

/// Logits computed at once, 16 MB of them.
const LOGITS_AT_ONCE: usize = 1 << 22;

/// Tokens read at once.
const TOKENS_AT_ONCE: usize = 4096;

/// Loss on the held-out set, in which each token is predicted once.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct HeldOut {
    /// Mean negative log-likelihood, nats per token.
    pub loss: f64,
    /// Perplexity of a token, exp(loss).
    pub perplexity: f64,
    pub bits_per_byte: f64,
    pub tokens: usize,
    pub bytes: usize,
}

/// Held-out set of examples.
#[derive(Debug, Clone, Default)]
pub struct HeldOutExamples {
    pub examples: Vec<Example>,
    /// Bytes of the text that is predicted.
    pub bytes: usize,
}

impl HeldOutExamples {
    /// Splits each text into windows of `context` tokens that advance by half a window. Every token is predicted once,
    /// with at least half a window before it except at the start of a text.
    ///
    /// # Errors
    /// Fails when the tokenizer fails, or has no token that begins a document.
    pub fn of_texts(texts: &[String], tokenizer: &Tokenizer, context: usize) -> Result<Self> {
        let (start, mut examples) = (document_start(tokenizer)?, Vec::new());
        for text in texts {
            let ids = [start.clone(), tokenizer.encode_beginning(text)?].concat();
            examples.extend(split_windows(&ids, context));
        }
        Ok(Self { examples, bytes: texts.iter().map(String::len).sum() })
    }

    /// Measures how well the model predicts the examples; returns `None` if there are none.
    ///
    /// # Errors
    /// Fails when the model cannot read an example, and when the device fails.
    pub fn evaluate(&self, model: &LanguageModel, progress: Mode) -> Result<Option<HeldOut>> {
        let length = |example: &Example| example.context.len() + example.continuation.len();
        let Some(longest) = self.examples.iter().map(length).max() else { return Ok(None) };
        let (mut sum, mut tokens) = (0.0, 0);
        let mut progress = Progress::new("measuring", self.examples.len() as u64, "sequences", progress);
        for group in self.examples.chunks((TOKENS_AT_ONCE / longest).max(1)) {
            let log_probs = log_probs(model, group)?;
            tokens += log_probs.len();
            sum -= log_probs.iter().map(|&p| f64::from(p)).sum::<f64>();
            progress.advance(group.len() as u64);
        }
        progress.finish();
        let loss = sum / tokens as f64;
        Ok(Some(HeldOut {
            loss,
            perplexity: loss.exp(),
            bits_per_byte: sum / std::f64::consts::LN_2 / self.bytes as f64,
            tokens,
            bytes: self.bytes,
        }))
    }
}

fn split_windows(ids: &[u32], context: usize) -> Vec<Example> {
    let stride = (context / 2).max(1);
    let mut windows = Vec::new();
    let mut predicted = 1;
    while predicted < ids.len() {
        let start = (predicted + stride).saturating_sub(context + 1);
        let end = (start + context + 1).min(ids.len());
        let tokens = |range: std::ops::Range<usize>| ids.get(range).unwrap_or_default().to_vec();
        windows.push(Example { context: tokens(start..predicted), continuation: tokens(predicted..end) });
        predicted = end;
    }
    windows
}

/// Returns the log-probability of each continuation's token, row after row.
fn log_probs(model: &LanguageModel, examples: &[Example]) -> Result<Vec<f32>> {
    let batch = ExampleBatch::new(examples, model.config())?;
    let device = model.transformer.device();
    let hidden = model.transformer.hidden_at(batch.input(&device));
    let targets = batch.targets(&device);
    let mut log_probs = Vec::with_capacity(batch.predicted());
    let rows_at_once = (LOGITS_AT_ONCE / model.config().vocab_size).max(1);
    for first in (0..batch.predicted()).step_by(rows_at_once) {
        let rows = rows_at_once.min(batch.predicted() - first);
        let logits = model.transformer.logits(hidden.clone().narrow(0, first, rows));
        log_probs.extend(read_floats(pick_log_probs(logits, targets.clone().narrow(0, first, rows)))?);
    }
    Ok(log_probs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_but_the_first_is_predicted_once() {
        let ids: Vec<u32> = (0..1000).collect();
        let windows = split_windows(&ids, 64);
        let predicted: Vec<u32> = windows.iter().flat_map(|window| window.continuation.clone()).collect();
        assert_eq!(predicted, ids[1..]);
        let length = |window: &Example| window.context.len() + window.continuation.len();
        assert!(windows.iter().skip(1).all(|window| window.context.len() >= 32 && length(window) <= 65));
    }
}
