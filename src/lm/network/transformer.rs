//! GPT-2 (Radford et al., 2019): the network that policy, reference and reward model share.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::optim::GradientsParams;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor};

use super::config::ModelConfig;
use super::kv_cache::KvCache;
use super::token_batch::Input;
use crate::lm::kernels::{causal_attention, gelu, layer_norm, linear, logits};

/// Token and position embeddings, blocks, and a final layer norm; the output head is the token
/// embedding transposed.
#[derive(Module, Debug)]
pub struct Transformer {
    /// `[vocab, d_model]`
    token_embedding: Param<Tensor<2>>,
    /// `[positions, d_model]`
    position_embedding: Param<Tensor<2>>,
    blocks: Vec<Block>,
    final_norm: LayerNorm,
    #[module(skip)]
    config: ModelConfig,
}

#[derive(Module, Debug)]
struct Block {
    attention_norm: LayerNorm,
    attention: Attention,
    feed_forward_norm: LayerNorm,
    feed_forward: FeedForward,
}

#[derive(Module, Debug)]
struct Attention {
    query_key_value: Linear,
    output: Linear,
}

#[derive(Module, Debug)]
struct FeedForward {
    expand: Linear,
    contract: Linear,
}

/// Linear map; `weight` is `[in, out]`, as in GPT-2's files.
#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

impl Transformer {
    /// Creates a model of this shape whose weights are all zero until they are loaded or drawn (see
    /// [`super::parameters`]).
    pub fn zeros(config: &ModelConfig, device: &Device) -> Self {
        let width = config.n_embd;
        let block = |_| Block {
            attention_norm: LayerNorm::zeros(width, device),
            attention: Attention {
                query_key_value: Linear::zeros(width, 3 * width, device),
                output: Linear::zeros(width, width, device),
            },
            feed_forward_norm: LayerNorm::zeros(width, device),
            feed_forward: FeedForward {
                expand: Linear::zeros(width, 4 * width, device),
                contract: Linear::zeros(4 * width, width, device),
            },
        };
        Self {
            token_embedding: Initializer::Zeros.init([config.vocab_size, width], device),
            position_embedding: Initializer::Zeros.init([config.n_positions, width], device),
            blocks: (0..config.n_layer).map(block).collect(),
            final_norm: LayerNorm::zeros(width, device),
            config: config.clone(),
        }
    }

    /// Returns the sizes of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Returns the device of the weights.
    pub fn device(&self) -> Device {
        self.token_embedding.val().device()
    }

    /// Maps tokens `[batch, seq]` that start at position 0 to the output of the final layer norm
    /// `[batch, seq, d_model]`. Every token sees itself and the tokens before it in its row.
    pub fn hidden(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        self.run(self.embed(tokens), [batch, seq], None).reshape([batch, seq, self.width()])
    }

    /// Computes the output of the final layer norm at the output positions, `[positions, d_model]`; the last block's
    /// feed-forward layer is not computed elsewhere.
    pub fn hidden_at(&self, input: Input) -> Tensor<2> {
        self.hidden_from(self.embed(input.tokens.clone()), &input)
    }

    /// Computes [`Self::hidden_at`] from the output of [`Self::embed`] for the tokens.
    pub(crate) fn hidden_from(&self, embedded: Tensor<2>, input: &Input) -> Tensor<2> {
        self.run(embedded, input.tokens.dims(), Some(&input.output_positions))
    }

    fn run(&self, embedded: Tensor<2>, shape: [usize; 2], output_positions: Option<&Tensor<1, Int>>) -> Tensor<2> {
        let blocks = 0..self.layers();
        self.normalize(blocks.fold(embedded, |residual, block| self.block(block, residual, shape, output_positions)))
    }

    /// Returns the number of blocks.
    pub fn layers(&self) -> usize {
        self.config.n_layer
    }

    /// Computes one block: `[batch · seq, d_model]` to the same shape; the last block returns only the rows at `output_positions`
    /// rows.
    pub(crate) fn block(
        &self,
        number: usize,
        residual: Tensor<2>,
        [batch, seq]: [usize; 2],
        output_positions: Option<&Tensor<1, Int>>,
    ) -> Tensor<2> {
        let output_positions = output_positions.filter(|_| number + 1 == self.layers());
        match self.blocks.get(number) {
            Some(block) => block.forward(residual, self.config.layer_norm_epsilon, output_positions, |qkv| {
                causal_attention(qkv, batch, seq, self.config.n_head)
            }),
            None => residual,
        }
    }

    /// Computes [`Self::hidden_at`], and stores keys and values in `cache` for [`Self::decode`].
    pub fn prefill(&self, input: Input, cache: &mut KvCache) -> Tensor<2> {
        let [batch, seq] = input.tokens.dims();
        let mut residual = self.embed(input.tokens);
        for (layer, block) in self.blocks.iter().enumerate() {
            let output_positions = Some(&input.output_positions).filter(|_| layer + 1 == self.layers());
            residual = block.forward(residual, self.config.layer_norm_epsilon, output_positions, |qkv| {
                cache.keep(layer, qkv.clone(), batch, seq);
                causal_attention(qkv, batch, seq, self.config.n_head)
            });
        }
        self.normalize(residual)
    }

    /// Reads one more token of each row: tokens and positions `[batch]` to its output `[batch, d_model]`.
    pub fn decode(&self, tokens: Tensor<1, Int>, positions: Tensor<1, Int>, cache: &mut KvCache) -> Tensor<2> {
        let mut residual =
            self.token_embedding.val().select(0, tokens) + self.position_embedding.val().select(0, positions);
        for (layer, block) in self.blocks.iter().enumerate() {
            residual = block.forward(residual, self.config.layer_norm_epsilon, None, |qkv| cache.attend(layer, qkv));
        }
        cache.advance();
        self.normalize(residual)
    }

    /// Maps hidden states `[rows, d_model]` to logits `[rows, vocab]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        logits(hidden, self.token_embedding.val())
    }

    /// Returns `d_model`.
    pub fn width(&self) -> usize {
        self.config.n_embd
    }

    /// Creates a cache for `rows` sequences of at most `capacity` tokens.
    pub fn kv_cache(&self, rows: usize, capacity: usize) -> KvCache {
        KvCache::new(self.layers(), rows, self.config.n_head, self.config.head_width(), capacity, &self.device())
    }

    /// Maps tokens `[batch, seq]` that start at position 0 to the input of the first block,
    /// `[batch · seq, d_model]`.
    pub(crate) fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, seq] = tokens.dims();
        let width = self.width();
        let token = self.token_embedding.val().select(0, tokens.reshape([batch * seq]));
        let position = self.position_embedding.val().narrow(0, 0, seq);
        (token.reshape([batch, seq, width]) + position.unsqueeze()).reshape([batch * seq, width])
    }

    /// Adds the gradient `flowing` of the output of [`Self::embed`] for these tokens, `[batch · seq, d_model]`,
    /// to the gradients of the embeddings, unless the embeddings are frozen.
    ///
    /// The token embedding is also the output head, and so has two gradients, each as large as the embedding.
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

        let width = self.width();
        let of_places = flowing.clone().reshape([batch, seq, width]).sum_dim(0).reshape([seq, width]);
        let of_positions = zeros(&self.position_embedding);
        gradients.register(self.position_embedding.id, of_positions.slice_assign([0..seq, 0..width], of_places));
    }

    /// Applies the final layer norm to the output of the last block, `[rows, d_model]`.
    pub(crate) fn normalize(&self, residual: Tensor<2>) -> Tensor<2> {
        self.final_norm.forward(residual, self.config.layer_norm_epsilon)
    }
}

impl Block {
    /// Computes the block: `residual` and the result are `[rows, d_model]`; `attend` maps `[rows, 3 · d_model]`
    /// (queries, keys, values) to `[rows, d_model]`. The result has only the rows at `output_positions`, if these are given.
    ///
    /// Tensors of rows have two dimensions: with three, the gradient of a weight would be computed for each
    /// batch row and summed afterwards.
    fn forward(
        &self,
        mut residual: Tensor<2>,
        epsilon: f64,
        output_positions: Option<&Tensor<1, Int>>,
        attend: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let normed = self.attention_norm.forward(residual.clone(), epsilon);
        let mut attended = attend(self.attention.query_key_value.forward(normed));
        if let Some(output_positions) = output_positions {
            residual = residual.select(0, output_positions.clone());
            attended = attended.select(0, output_positions.clone());
        }
        let residual = residual + self.attention.output.forward(attended);
        let normed = self.feed_forward_norm.forward(residual.clone(), epsilon);
        let expanded = gelu(self.feed_forward.expand.forward(normed));
        residual + self.feed_forward.contract.forward(expanded)
    }
}

impl Linear {
    fn zeros(from: usize, to: usize, device: &Device) -> Self {
        Self { weight: Initializer::Zeros.init([from, to], device), bias: Initializer::Zeros.init([to], device) }
    }

    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        linear(rows, self.weight.val(), self.bias.val())
    }
}

impl LayerNorm {
    fn zeros(width: usize, device: &Device) -> Self {
        Self { weight: Initializer::Zeros.init([width], device), bias: Initializer::Zeros.init([width], device) }
    }

    fn forward(&self, rows: Tensor<2>, epsilon: f64) -> Tensor<2> {
        layer_norm(rows, self.weight.val(), self.bias.val(), epsilon)
    }
}
