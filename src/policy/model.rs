//! The policy: a language model with a value head on the same trunk.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::device::Readback;
use crate::error::Result;
use crate::lm::files::hugging_face::HEADS_FILE;
use crate::lm::files::tensor_file::{Precision, write_safetensors};
use crate::lm::kernels::{entropies, pick_log_probs};
use crate::lm::network::lora;
use crate::lm::network::parameters;
use crate::lm::network::parameters::NamedTensor;
use crate::lm::{LanguageModel, MicroBatches, ResponseBatch, Responses, ScalarHead, Transformer};

/// Policy (π in the paper), with the value function that PPO learns beside it.
#[derive(Module, Debug)]
pub struct Policy {
    pub transformer: Transformer,
    pub value_head: ScalarHead,
}

/// Statistics of responses under the policy, each `[batch · response]`, row after row.
pub struct ResponseStatistics {
    /// Log-probability of each token at the sampling temperature.
    pub log_probs: Tensor<1>,
    /// The value before each token.
    pub values: Tensor<1>,
    /// Entropy of the distribution from which each token was sampled; it carries no gradient.
    pub entropies: Tensor<1>,
}

impl Policy {
    /// Computes the statistics of responses (`policy.py`, `analyze_responses`).
    ///
    /// # Errors
    /// The errors of [`ResponseBatch::new`].
    pub fn analyze(&self, responses: Responses<'_>, temperature: f64) -> Result<ResponseStatistics> {
        let batch = ResponseBatch::new(responses, self.transformer.config())?;
        Ok(self.analyze_hidden(&batch, batch.hidden(&self.transformer), temperature))
    }

    /// Computes the statistics of responses from the hidden states before each response token,
    /// `[batch · response, d_model]`.
    pub fn analyze_hidden(&self, batch: &ResponseBatch, hidden: Tensor<2>, temperature: f64) -> ResponseStatistics {
        let logits = self.transformer.logits(hidden.clone()) / temperature;
        ResponseStatistics {
            entropies: entropies(logits.clone()),
            log_probs: pick_log_probs(logits, batch.targets(&self.transformer)),
            values: self.value_head.forward(hidden),
        }
    }

    /// Returns the files of this model by name; configuration and tokenizer are those of `pretrained`.
    ///
    /// # Errors
    /// Fails when the device fails.
    pub fn to_files(&self, pretrained: &LanguageModel) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = pretrained.with_transformer(lora::merge(self.transformer.clone())).to_files(Precision::F32)?;
        let heads = write_safetensors(&self.value_head.read("value")?, Precision::F32)?;
        files.push((HEADS_FILE.into(), heads));
        Ok(files)
    }

    /// Reads every weight by name; those of the head are `value.weight` and `value.bias`.
    ///
    /// # Errors
    /// Fails when the device fails.
    pub fn read(&self) -> Result<Vec<NamedTensor>> {
        Ok([parameters::read(&lora::merge(self.transformer.clone()))?, self.value_head.read("value")?].concat())
    }
}

/// Returns the log-probabilities of responses under a model without heads, `[batch][response]`.
///
/// # Errors
/// Fails when the device fails, and with the errors of [`ResponseBatch::new`] and [`MicroBatches::over`].
pub fn response_log_probs(
    model: &Transformer,
    responses: Responses<'_>,
    temperature: f64,
    micro_batches: &MicroBatches,
) -> Result<Vec<Vec<f64>>> {
    let micro_batches = log_probs_in_micro_batches(model, responses, temperature, micro_batches)?;
    Ok(by_row(&Readback::default().with_all(micro_batches).floats()?.concat(), responses.len()))
}

/// Returns [`response_log_probs`] of each micro-batch, `[batch · response]`, still on the device.
///
/// # Errors
/// The errors of [`ResponseBatch::new`] and [`MicroBatches::over`].
pub(super) fn log_probs_in_micro_batches(
    model: &Transformer,
    responses: Responses<'_>,
    temperature: f64,
    micro_batches: &MicroBatches,
) -> Result<Vec<Tensor<1>>> {
    micro_batches.over(&model.device(), responses.len(), |rows| {
        let batch = ResponseBatch::new(responses.slice(rows), model.config())?;
        let logits = model.logits(batch.hidden(model)) / temperature;
        Ok(pick_log_probs(logits, batch.targets(model)))
    })
}

/// Splits numbers `[batch · response]` into rows `[batch][response]`.
pub(super) fn by_row(numbers: &[f32], rows: usize) -> Vec<Vec<f64>> {
    let length = (numbers.len() / rows.max(1)).max(1);
    numbers.chunks(length).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}
