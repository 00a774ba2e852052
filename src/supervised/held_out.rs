//! How well a model predicts text that it never saw.

use burn::tensor::{Tensor, TensorData};

use crate::device::read_floats;
use crate::error::Result;
use crate::lm::operations::pick_log_probs;
use crate::lm::{END_OF_TEXT, LanguageModel, TokenBatch, select_rows};
use crate::run::{Mode, Progress};

/// Rows of logits computed at once.
const ROWS_AT_ONCE: usize = 1024;

/// Prediction of held-out text, each token once, with at least half a context before it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct HeldOut {
    /// Mean negative log-likelihood, nats a token.
    pub loss: f64,
    /// exp(loss), a token.
    pub perplexity: f64,
    pub bits_per_byte: f64,
    pub tokens: usize,
    pub bytes: usize,
}

/// One window: the tokens read, and from which position on predictions count.
struct Window {
    tokens: Vec<u32>,
    counted_from: usize,
}

/// Reads each text in windows of the model's `context` that advance by half of it.
///
/// # Errors
/// When the device fails.
pub fn evaluate(model: &LanguageModel, texts: &[String], context: usize, progress: Mode) -> Result<HeldOut> {
    let mut windows = Vec::new();
    for text in texts {
        let ids = [model.tokenizer.encode(END_OF_TEXT)?, model.tokenizer.encode(text)?].concat();
        windows.extend(split_windows(&ids, context));
    }
    let (mut sum, mut tokens) = (0.0, 0);
    let mut progress = Progress::new("held-out text", windows.len() as u64, "windows", progress);
    for group in windows.chunks((4 * ROWS_AT_ONCE / context).max(1)) {
        let log_probs = group_log_probs(model, group)?;
        tokens += log_probs.len();
        sum -= log_probs.iter().map(|&p| f64::from(p)).sum::<f64>();
        progress.advance(group.len() as u64);
    }
    progress.finish();
    let bytes = texts.iter().map(String::len).sum();
    let loss = sum / tokens as f64;
    Ok(HeldOut {
        loss,
        perplexity: loss.exp(),
        bits_per_byte: sum / std::f64::consts::LN_2 / bytes as f64,
        tokens,
        bytes,
    })
}

fn split_windows(ids: &[u32], context: usize) -> Vec<Window> {
    let stride = (context / 2).max(1);
    let mut windows = Vec::new();
    let mut predicted = 1;
    while predicted < ids.len() {
        let start = (predicted + stride).saturating_sub(context + 1);
        let end = (start + context + 1).min(ids.len());
        let tokens = ids.get(start..end).unwrap_or_default().to_vec();
        windows.push(Window { tokens, counted_from: predicted - start });
        predicted = end;
    }
    windows
}

fn group_log_probs(model: &LanguageModel, group: &[Window]) -> Result<Vec<f32>> {
    let inputs: Vec<Vec<u32>> =
        group.iter().map(|w| w.tokens.split_last().map_or_else(Vec::new, |(_, rest)| rest.to_vec())).collect();
    let config = &model.config;
    let batch = TokenBatch::new(&inputs, config.pad_token(), config.vocab_size, config.n_positions)?;
    let device = model.transformer.device();
    let hidden = model.transformer.hidden(batch.tokens(&device)).flatten(0, 1);
    let counted = group.iter().enumerate().flat_map(|(row, window)| {
        let width = batch.width();
        (window.counted_from..window.tokens.len()).map(move |position| row * width + position - 1)
    });
    let targets = group.iter().flat_map(|w| w.tokens.iter().skip(w.counted_from)).map(|&id| i64::from(id));
    let (counted, targets): (Vec<usize>, Vec<i64>) = counted.zip(targets).unzip();
    let mut log_probs = Vec::with_capacity(targets.len());
    for (rows, targets) in counted.chunks(ROWS_AT_ONCE).zip(targets.chunks(ROWS_AT_ONCE)) {
        let logits = model.transformer.logits(select_rows(hidden.clone(), rows));
        let targets = Tensor::from_data(TensorData::new(targets.to_vec(), [targets.len(), 1]), &device);
        log_probs.extend(read_floats(pick_log_probs(logits, targets))?);
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
        let predicted: Vec<u32> = windows.iter().flat_map(|w| w.tokens.iter().skip(w.counted_from).copied()).collect();
        assert_eq!(predicted, ids[1..]);
        assert!(windows.iter().skip(1).all(|w| w.counted_from >= 32 && w.tokens.len() <= 65));
    }
}
