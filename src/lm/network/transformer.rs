//! The network that policy, reference and reward model share: a GPT-2 (Radford et al., 2019), or a Llama (Touvron et
//! al., 2023) or one of its variants, whose parts are optional here.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::optim::GradientsParams;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::block::{Block, Norm};
use super::config::ModelConfig;
use super::half_precision::{in_f32, to_bf16, widen};
use super::kv_cache::KvCache;
use super::token_batch::Input;
use crate::lm::kernels::{causal_attention, logits};

/// Embeddings, blocks, a final norm, and the output head.
#[derive(Module, Debug)]
pub struct Transformer {
    /// `[vocab, d_model]`
    token_embedding: Param<Tensor<2>>,
    /// `[positions, d_model]`; `None` for rotary positions.
    position_embedding: Option<Param<Tensor<2>>>,
    blocks: Vec<Block>,
    final_norm: Norm,
    /// `[vocab, d_model]`; `None` if the token embedding is also the output head.
    output_head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: ModelConfig,
}

/// Shape of a batch that is read from position 0 on, and the tables that all blocks use for it.
pub(crate) struct Layout {
    batch: usize,
    seq: usize,
    /// Cosines and sines, `[seq, head_width]`.
    rotation: Option<Tensor<2>>,
}

impl Transformer {
    /// Creates a model of this shape whose weights are all zero until they are loaded or drawn (see
    /// [`super::parameters`]).
    pub fn zeros(config: &ModelConfig, device: &Device) -> Self {
        let width = config.width;
        Self {
            token_embedding: Initializer::Zeros.init([config.vocab_size, width], device),
            position_embedding: match config.rotation {
                None => Some(Initializer::Zeros.init([config.positions, width], device)),
                Some(_) => None,
            },
            blocks: (0..config.layers).map(|_| Block::zeros(config, device)).collect(),
            final_norm: Norm::zeros(width, config.has_layer_norms(), device),
            output_head: match config.tied_output_head {
                true => None,
                false => Some(Initializer::Zeros.init([config.vocab_size, width], device)),
            },
            config: config.clone(),
        }
    }

    /// Returns this network with its weights rounded to bf16; it can be read, but not trained.
    #[must_use]
    pub fn to_bf16(self) -> Self {
        to_bf16(self)
    }

    /// Returns the sizes of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Returns the device of the weights.
    pub fn device(&self) -> Device {
        self.token_embedding.val().device()
    }

    /// Maps tokens `[batch, seq]` that start at position 0 to the output of the final norm
    /// `[batch, seq, d_model]`. Every token sees itself and the tokens before it in its row.
    pub fn hidden(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let layout = self.layout(&tokens);
        self.run(self.embed(tokens), &layout, None).reshape([batch, seq, self.width()])
    }

    /// Computes the output of the final norm at the output positions, `[positions, d_model]`; the last block's
    /// feed-forward layer is not computed elsewhere.
    pub fn hidden_at(&self, input: Input) -> Tensor<2> {
        self.hidden_from(self.embed(input.tokens.clone()), &input)
    }

    /// Computes [`Self::hidden_at`] from the output of [`Self::embed`] for the tokens.
    pub(crate) fn hidden_from(&self, embedded: Tensor<2>, input: &Input) -> Tensor<2> {
        self.run(embedded, &self.layout(&input.tokens), Some(&input.output_positions))
    }

    fn run(&self, embedded: Tensor<2>, layout: &Layout, output_positions: Option<&Tensor<1, Int>>) -> Tensor<2> {
        let blocks = 0..self.layers();
        self.normalize(blocks.fold(embedded, |residual, block| self.block(block, residual, layout, output_positions)))
    }

    /// Returns the layout of tokens `[batch, seq]` that start at position 0.
    pub(crate) fn layout(&self, tokens: &Tensor<2, Int>) -> Layout {
        let [batch, seq] = tokens.dims();
        Layout { batch, seq, rotation: self.rotation_table(seq) }
    }

    /// Returns cosines and sines for the first positions, `[positions, head_width]`.
    fn rotation_table(&self, positions: usize) -> Option<Tensor<2>> {
        let head_width = self.config.head_width;
        let table = self.config.rotation?.table(0..positions, head_width);
        Some(Tensor::from_data(TensorData::new(table, [positions, head_width]), &self.device()))
    }

    /// Returns the number of blocks.
    pub fn layers(&self) -> usize {
        self.config.layers
    }

    /// Computes one block: `[batch · seq, d_model]` to the same shape; the last block returns only the rows at
    /// `output_positions`.
    pub(crate) fn block(
        &self,
        number: usize,
        residual: Tensor<2>,
        layout: &Layout,
        output_positions: Option<&Tensor<1, Int>>,
    ) -> Tensor<2> {
        let output_positions = output_positions.filter(|_| number + 1 == self.layers());
        let heads = self.config.head_counts();
        match self.blocks.get(number) {
            Some(block) => {
                let attend = |qkv| causal_attention(qkv, layout.batch, layout.seq, heads);
                block.forward(residual, &self.config, layout.rotation.as_ref(), output_positions, attend)
            }
            None => residual,
        }
    }

    /// Computes [`Self::hidden_at`], and stores keys and values in `cache` for [`Self::decode`].
    pub fn prefill(&self, input: Input, cache: &mut KvCache) -> Tensor<2> {
        let layout = self.layout(&input.tokens);
        let heads = self.config.head_counts();
        let mut residual = self.embed(input.tokens);
        for (layer, block) in self.blocks.iter().enumerate() {
            let output_positions = Some(&input.output_positions).filter(|_| layer + 1 == self.layers());
            let attend = |qkv: Tensor<2>| {
                cache.keep(layer, qkv.clone(), layout.batch, layout.seq);
                causal_attention(qkv, layout.batch, layout.seq, heads)
            };
            residual = block.forward(residual, &self.config, layout.rotation.as_ref(), output_positions, attend);
        }
        self.normalize(residual)
    }

    /// Reads one more token of each row: tokens and positions `[batch]` to its output `[batch, d_model]`.
    pub fn decode(&self, tokens: Tensor<1, Int>, positions: Tensor<1, Int>, cache: &mut KvCache) -> Tensor<2> {
        let rotation = cache.rotation_at(positions.clone());
        let mut residual = widen(self.token_embedding.val().select(0, tokens));
        if let Some(embedding) = &self.position_embedding {
            residual = residual + widen(embedding.val().select(0, positions));
        }
        for (layer, block) in self.blocks.iter().enumerate() {
            let attend = |qkv| cache.attend(layer, qkv);
            residual = block.forward(residual, &self.config, rotation.as_ref(), None, attend);
        }
        cache.advance();
        self.normalize(residual)
    }

    /// Maps hidden states `[rows, d_model]` to logits `[rows, vocab]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        logits(hidden, in_f32(self.output_head.as_ref().unwrap_or(&self.token_embedding)))
    }

    /// Returns `d_model`.
    pub fn width(&self) -> usize {
        self.config.width
    }

    /// Creates a cache for `rows` sequences of at most `capacity` tokens.
    pub fn kv_cache(&self, rows: usize, capacity: usize) -> KvCache {
        KvCache::new(&self.config, rows, capacity, self.rotation_table(capacity), &self.device())
    }

    /// Maps tokens `[batch, seq]` that start at position 0 to the input of the first block,
    /// `[batch · seq, d_model]`.
    pub(crate) fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, seq] = tokens.dims();
        let width = self.width();
        let token = widen(self.token_embedding.val().select(0, tokens.reshape([batch * seq])));
        match &self.position_embedding {
            None => token,
            Some(embedding) => {
                let position = widen(embedding.val().narrow(0, 0, seq));
                (token.reshape([batch, seq, width]) + position.unsqueeze()).reshape([batch * seq, width])
            }
        }
    }

    /// Adds the gradient `flowing` of the output of [`Self::embed`] for these tokens, `[batch · seq, d_model]`,
    /// to the gradients of the embeddings, unless the embeddings are frozen.
    ///
    /// A token embedding that is also the output head has two gradients, each as large as the embedding.
    /// Here the second is added to the first row by row; autodiff would make both and then their sum.
    pub(crate) fn add_embedding_gradients(
        &self,
        gradients: &mut GradientsParams,
        tokens: Tensor<2, Int>,
        flowing: Option<Tensor<2>>,
    ) {
        let Some(flowing) = flowing.filter(|_| self.token_embedding.val().is_require_grad()) else { return };
        let [batch, seq] = tokens.dims();
        let zeros = |parameter: &Param<Tensor<2>>| Tensor::zeros(parameter.val().shape(), &flowing.device());
        let of_output_head = gradients.remove(self.token_embedding.id);
        let of_tokens = of_output_head.unwrap_or_else(|| zeros(&self.token_embedding));
        let tokens = tokens.without_autodiff().reshape([batch * seq]);
        let of_tokens = of_tokens.select_assign(0, tokens, flowing.clone(), IndexingUpdateOp::Add);
        gradients.register(self.token_embedding.id, of_tokens);

        let Some(embedding) = &self.position_embedding else { return };
        let width = self.width();
        let of_places = flowing.clone().reshape([batch, seq, width]).sum_dim(0).reshape([seq, width]);
        let of_positions = zeros(embedding);
        gradients.register(embedding.id, of_positions.slice_assign([0..seq, 0..width], of_places));
    }

    /// Applies the final norm to the output of the last block, `[rows, d_model]`.
    pub(crate) fn normalize(&self, residual: Tensor<2>) -> Tensor<2> {
        self.final_norm.forward(residual, self.config.norm_epsilon)
    }
}
