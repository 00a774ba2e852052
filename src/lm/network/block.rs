//! A block of the network: attention and the feed-forward layer, each after a norm and added to the residual stream.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor};

use super::config::ModelConfig;
use super::half_precision::in_f32;
use crate::lm::kernels::{HeadCounts, gelu, layer_norm, linear, matrix_product, rms_norm, rotate, swiglu};

#[derive(Module, Debug)]
pub(super) struct Block {
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
pub(super) struct Norm {
    weight: Param<Tensor<1>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Block {
    pub(super) fn zeros(config: &ModelConfig, device: &Device) -> Self {
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
    pub(super) fn forward(
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
            Some(bias) => linear(rows, in_f32(&self.weight), in_f32(bias)),
            None => matrix_product(rows, in_f32(&self.weight)),
        }
    }
}

impl Norm {
    pub(super) fn zeros(width: usize, has_bias: bool, device: &Device) -> Self {
        let weight = Initializer::Zeros.init([width], device);
        Self { weight, bias: has_bias.then(|| Initializer::Zeros.init([width], device)) }
    }

    pub(super) fn forward(&self, rows: Tensor<2>, epsilon: f64) -> Tensor<2> {
        match &self.bias {
            Some(bias) => layer_norm(rows, in_f32(&self.weight), in_f32(bias), epsilon),
            None => rms_norm(rows, in_f32(&self.weight), epsilon),
        }
    }
}
