//! Gradients of a loss through the network: in one pass, or block by block with less memory; summed
//! over micro-batches.

use std::ops::Range;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};

use crate::device::parallel::{ALL_CORES, in_parts};
use crate::error::Result;
use crate::lm::network::Input;
use crate::lm::network::Transformer;

/// Settings of the backward pass through the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backward {
    /// Rows in a micro-batch: changes memory, not results.
    pub micro_batch_size: usize,
    /// Largest number of parts of a batch that a CPU computes side by side, each with gradients of its own and
    /// its share of the cores: changes memory, not results.
    pub parts: usize,
    /// Gradient checkpointing: keeps each block's input and computes the rest of the block again, which takes
    /// one more forward pass, and memory for the activations of one block instead of all.
    pub gradient_checkpointing: bool,
}

impl Backward {
    /// Returns micro-batches of `rows` rows, on all cores, with all activations kept.
    pub const fn in_passes_of(rows: usize) -> Self {
        Self { micro_batch_size: rows, parts: ALL_CORES, gradient_checkpointing: false }
    }

    /// Computes gradients for `module`, whose network is `network`. `loss` takes the network's output at the
    /// output positions, `[positions, d_model]`, and returns the loss `[1]` and other results of the micro-batch.
    ///
    /// # Errors
    /// The errors of `loss`.
    pub fn gradients<M: Module, T>(
        &self,
        module: &M,
        network: &Transformer,
        input: Input,
        loss: impl FnOnce(Tensor<2>) -> Result<(Tensor<1>, T)>,
    ) -> Result<(GradientsParams, T)> {
        if self.gradient_checkpointing {
            return block_by_block(module, network, input, loss);
        }
        let embedded = begin(network.valid().embed(input.tokens.clone()));
        let (loss, kept) = loss(network.hidden_from(embedded.clone(), &input))?;
        let mut gradients = loss.backward();
        let flowing = embedded.grad_remove(&mut gradients);
        let mut gradients = GradientsParams::from_grads(gradients, module);
        network.add_embedding_gradients(&mut gradients, input.tokens, flowing);
        Ok((gradients, kept))
    }

    /// Sums the gradients that `pass` returns for each micro-batch of `rows` rows, and collects its other
    /// results in order.
    ///
    /// # Errors
    /// The first error of `pass`.
    pub fn summed<M: Module + Sync, T: Send>(
        &self,
        module: &M,
        device: &Device,
        rows: usize,
        pass: impl Fn(Range<usize>) -> Result<(GradientsParams, T)> + Sync,
    ) -> Result<(GradientsParams, Vec<T>)> {
        let size = self.micro_batch_size;
        let parts = in_parts(device, rows, self.parts, |part| {
            // Gradients are summed one after the other: each takes as much memory as the model.
            let mut sum = GradientsAccumulator::new();
            let mut all = Vec::new();
            for first in part.clone().step_by(size) {
                let (gradients, kept) = pass(first..(first + size).min(part.end))?;
                sum.accumulate(module, gradients);
                all.push(kept);
            }
            Ok((sum.grads(), all))
        });
        let mut sum = GradientsAccumulator::new();
        let mut all = Vec::new();
        for part in parts {
            let (gradients, kept) = part?;
            sum.accumulate(module, gradients);
            all.extend(kept);
        }
        Ok((sum.grads(), all))
    }
}

/// Begins a graph.
fn begin(input: Tensor<2>) -> Tensor<2> {
    input.autodiff().require_grad()
}

/// Computes gradients with a graph for each block, which begins at the block's input and ends with the gradient
/// of its output.
fn block_by_block<M: Module, T>(
    module: &M,
    network: &Transformer,
    Input { tokens, output_positions }: Input,
    loss: impl FnOnce(Tensor<2>) -> Result<(Tensor<1>, T)>,
) -> Result<(GradientsParams, T)> {
    let plain = network.valid();
    let layout = plain.layout(&tokens);
    let mut inputs = vec![plain.embed(tokens.clone())];
    for block in 0..plain.layers() {
        let next = inputs.last().map(|input| plain.block(block, input.clone(), &layout, Some(&output_positions)));
        inputs.extend(next);
    }
    drop(plain);

    let layout = network.layout(&tokens);
    let mut sum = GradientsAccumulator::new();
    // There is one input more than there are blocks: what the final norm reads.
    let last = begin(inputs.pop().unwrap_or_else(|| network.embed(tokens.clone()).inner()));
    let (loss, kept) = loss(network.normalize(last.clone()))?;
    let mut gradients = loss.backward();
    let mut flowing = last.grad_remove(&mut gradients);
    sum.accumulate(module, GradientsParams::from_grads(gradients, module));
    for (block, input) in inputs.into_iter().enumerate().rev() {
        let input = begin(input);
        let output = network.block(block, input.clone(), &layout, Some(&output_positions));
        let mut gradients = meeting(output, flowing).backward();
        flowing = input.grad_remove(&mut gradients);
        sum.accumulate(module, GradientsParams::from_grads(gradients, module));
    }
    let mut gradients = sum.grads();
    network.add_embedding_gradients(&mut gradients, tokens, flowing);
    Ok((gradients, kept))
}

/// Returns a number whose gradient with respect to `output` is `gradient`; both are `[rows, d_model]`.
fn meeting(output: Tensor<2>, gradient: Option<Tensor<2>>) -> Tensor<1> {
    match gradient {
        Some(gradient) => (output * Tensor::from_inner(gradient)).sum(),
        None => output.sum() * 0.0,
    }
}
