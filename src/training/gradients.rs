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

/// How a loss is taken back through the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backward {
    /// Rows in one pass: changes memory, not results.
    pub micro_batch_size: usize,
    /// Parts of a batch that are worked on side by side on a CPU, each with gradients of its own and
    /// its share of the cores, at most. As above.
    pub parts: usize,
    /// Keep each block's input and compute the rest of the block again: one more forward pass, and
    /// activations of one block instead of all.
    pub gradient_checkpointing: bool,
}

impl Backward {
    /// Passes of this many rows, on all cores, with all activations kept.
    pub const fn in_passes_of(rows: usize) -> Self {
        Self { micro_batch_size: rows, parts: ALL_CORES, gradient_checkpointing: false }
    }

    /// Gradients for `module`, whose network is `network`, of a loss of the network's output
    /// where it is wanted, `[wanted, d_model]`. `loss` gives the loss `[1]` and what else is wanted of
    /// the pass.
    ///
    /// # Errors
    /// Those of `loss`.
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

    /// The sum of the gradients that `pass` gives for each micro-batch of `rows` rows, and all that it
    /// gives beside them, in order.
    ///
    /// # Errors
    /// The first of `pass`.
    pub fn summed<M: Module + Sync, T: Send>(
        &self,
        module: &M,
        device: &Device,
        rows: usize,
        pass: impl Fn(Range<usize>) -> Result<(GradientsParams, T)> + Sync,
    ) -> Result<(GradientsParams, Vec<T>)> {
        let size = self.micro_batch_size;
        let parts = in_parts(device, rows, self.parts, |part| {
            // Summed as they come: all side by side would take a copy of the model each.
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

/// The begin of a graph.
fn begin(input: Tensor<2>) -> Tensor<2> {
    input.autodiff().require_grad()
}

/// Each block has a graph of its own, begun by its input and ended by the gradient of its output.
fn block_by_block<M: Module, T>(
    module: &M,
    network: &Transformer,
    Input { tokens, wanted }: Input,
    loss: impl FnOnce(Tensor<2>) -> Result<(Tensor<1>, T)>,
) -> Result<(GradientsParams, T)> {
    let shape = tokens.dims();
    let plain = network.valid();
    let mut inputs = vec![plain.embed(tokens.clone())];
    for block in 0..plain.layers() {
        let next = inputs.last().map(|input| plain.block(block, input.clone(), shape, Some(&wanted)));
        inputs.extend(next);
    }
    drop(plain);

    let mut sum = GradientsAccumulator::new();
    // There is one input more than there are blocks: what the final norm reads.
    let last = begin(inputs.pop().unwrap_or_else(|| network.embed(tokens.clone()).inner()));
    let (loss, kept) = loss(network.normalize(last.clone()))?;
    let mut gradients = loss.backward();
    let mut flowing = last.grad_remove(&mut gradients);
    sum.accumulate(module, GradientsParams::from_grads(gradients, module));
    for (block, input) in inputs.into_iter().enumerate().rev() {
        let input = begin(input);
        let output = network.block(block, input.clone(), shape, Some(&wanted));
        let mut gradients = meeting(output, flowing).backward();
        flowing = input.grad_remove(&mut gradients);
        sum.accumulate(module, GradientsParams::from_grads(gradients, module));
    }
    let mut gradients = sum.grads();
    network.add_embedding_gradients(&mut gradients, tokens, flowing);
    Ok((gradients, kept))
}

/// A number whose gradient for `output` is the one given: `[rows, d_model]`, both.
fn meeting(output: Tensor<2>, gradient: Option<Tensor<2>>) -> Tensor<1> {
    match gradient {
        Some(gradient) => (output * Tensor::from_inner(gradient)).sum(),
        None => output.sum() * 0.0,
    }
}
