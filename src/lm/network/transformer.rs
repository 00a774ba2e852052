//! The network that policy, reference and reward model share: a GPT-2 (Radford et al., 2019), or a Llama (Touvron et
//! al., 2023) or one of its variants, whose parts are optional here.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::optim::GradientsParams;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::config::ModelConfig;
use super::kv_cache::KvCache;
use super::token_batch::Input;
use crate::lm::kernels::{
    HeadCounts, causal_attention, gelu, layer_norm, linear, logits, matrix_product, rms_norm, rotate, swiglu,
};

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

#[derive(Module, Debug)]
struct Block {
    attention_norm: Norm,
    attention: Attention,
    feed_forward_norm: Norm,
    feed_forward: FeedForward,
}

#[derive(Module, Debug)]
struct Attention {
    /// To queries, keys and values side by side, of all heads.
    query_key_value: Linear,
    output: Linear,
    /// Norm of each head's queries.
    query_norm: Option<Norm>,
    /// Norm of each head's keys.
    key_norm: Option<Norm>,
}

#[derive(Module, Debug)]
struct FeedForward {
    /// To gates and numbers side by side, or, in a GPT-2, to numbers alone.
    expand: Linear,
    contract: Linear,
}

/// Linear map; `weight` is `[in, out]`.
#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

/// Layer norm, or, without a bias, RMS norm (Zhang and Sennrich, 2019).
#[derive(Module, Debug)]
struct Norm {
    weight: Param<Tensor<1>>,
    bias: Option<Param<Tensor<1>>>,
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
        let mut residual = self.token_embedding.val().select(0, tokens);
        if let Some(embedding) = &self.position_embedding {
            residual = residual + embedding.val().select(0, positions);
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
        logits(hidden, self.output_head.as_ref().unwrap_or(&self.token_embedding).val())
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
        let token = self.token_embedding.val().select(0, tokens.reshape([batch * seq]));
        match &self.position_embedding {
            None => token,
            Some(embedding) => {
                let position = embedding.val().narrow(0, 0, seq);
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

impl Block {
    fn zeros(config: &ModelConfig, device: &Device) -> Self {
        let (width, biases) = (config.width, config.biases);
        let norm = || Norm::zeros(width, config.has_layer_norms(), device);
        let head_norm = || config.query_key_norms.then(|| Norm::zeros(config.head_width, false, device));
        let query_width = config.query_width();
        let [qkv_width, expanded] = [config.query_key_value_width(), config.expanded_width()].map(|n| n as usize);
        Self {
            attention_norm: norm(),
            attention: Attention {
                query_key_value: Linear::zeros([width, qkv_width], biases.query_key_value, device),
                output: Linear::zeros([query_width, width], biases.attention_output, device),
                query_norm: head_norm(),
                key_norm: head_norm(),
            },
            feed_forward_norm: norm(),
            feed_forward: FeedForward {
                expand: Linear::zeros([width, expanded], biases.feed_forward, device),
                contract: Linear::zeros([config.feed_forward_width, width], biases.feed_forward, device),
            },
        }
    }

    /// Computes the block: `residual` and the result are `[rows, d_model]`; `attend` maps queries, keys and values
    /// `[rows, (heads + 2 · key_value_heads) · head_width]` to `[rows, heads · head_width]`. `rotation` holds the
    /// cosines and sines of positions, `[period, head_width]`: row `i` of the queries is at position `i % period`. The
    /// result has only the rows at `output_positions`, if these are given.
    ///
    /// Tensors of rows have two dimensions: with three, the gradient of a weight would be computed for each
    /// batch row and summed afterwards.
    fn forward(
        &self,
        mut residual: Tensor<2>,
        config: &ModelConfig,
        rotation: Option<&Tensor<2>>,
        output_positions: Option<&Tensor<1, Int>>,
        attend: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let normed = self.attention_norm.forward(residual.clone(), config.norm_epsilon);
        let mut attended = attend(self.attention.queries_keys_and_values(normed, config, rotation));
        if let Some(output_positions) = output_positions {
            residual = residual.select(0, output_positions.clone());
            attended = attended.select(0, output_positions.clone());
        }
        let residual = residual + self.attention.output.forward(attended);
        let normed = self.feed_forward_norm.forward(residual.clone(), config.norm_epsilon);
        residual + self.feed_forward.forward(normed, config.is_gated())
    }
}

impl Attention {
    fn queries_keys_and_values(
        &self,
        normed: Tensor<2>,
        config: &ModelConfig,
        rotation: Option<&Tensor<2>>,
    ) -> Tensor<2> {
        let mut qkv = self.query_key_value.forward(normed);
        if let (Some(query_norm), Some(key_norm)) = (&self.query_norm, &self.key_norm) {
            qkv = normalize_heads(qkv, query_norm, key_norm, config.head_counts(), config.norm_epsilon);
        }
        match rotation {
            Some(table) => rotate(qkv, table.clone(), config.heads + config.key_value_heads),
            None => qkv,
        }
    }
}

/// Normalizes the queries and the keys of each head.
fn normalize_heads(qkv: Tensor<2>, query_norm: &Norm, key_norm: &Norm, heads: HeadCounts, epsilon: f64) -> Tensor<2> {
    let [rows, width] = qkv.dims();
    let head_width = heads.width_of_one(width);
    let part =
        |first: usize, count: usize| qkv.clone().slice([0..rows, first * head_width..(first + count) * head_width]);
    let normed = |norm: &Norm, part: Tensor<2>| {
        let [_, width] = part.dims();
        let heads = part.reshape([rows * (width / head_width), head_width]);
        norm.forward(heads, epsilon).reshape([rows, width])
    };
    let HeadCounts { queries, keys } = heads;
    let [queries_part, keys_part] = [part(0, queries), part(queries, keys)];
    let values = part(queries + keys, keys);
    Tensor::cat(vec![normed(query_norm, queries_part), normed(key_norm, keys_part), values], 1)
}

impl FeedForward {
    fn forward(&self, normed: Tensor<2>, is_gated: bool) -> Tensor<2> {
        let expanded = self.expand.forward(normed);
        self.contract.forward(if is_gated { swiglu(expanded) } else { gelu(expanded) })
    }
}

impl Linear {
    fn zeros([from, to]: [usize; 2], has_bias: bool, device: &Device) -> Self {
        let weight = Initializer::Zeros.init([from, to], device);
        Self { weight, bias: has_bias.then(|| Initializer::Zeros.init([to], device)) }
    }

    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        match &self.bias {
            Some(bias) => linear(rows, self.weight.val(), bias.val()),
            None => matrix_product(rows, self.weight.val()),
        }
    }
}

impl Norm {
    fn zeros(width: usize, has_bias: bool, device: &Device) -> Self {
        let weight = Initializer::Zeros.init([width], device);
        Self { weight, bias: has_bias.then(|| Initializer::Zeros.init([width], device)) }
    }

    fn forward(&self, rows: Tensor<2>, epsilon: f64) -> Tensor<2> {
        match &self.bias {
            Some(bias) => layer_norm(rows, self.weight.val(), bias.val(), epsilon),
            None => rms_norm(rows, self.weight.val(), epsilon),
        }
    }
}
