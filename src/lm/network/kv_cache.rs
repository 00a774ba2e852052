//! The key-value cache: keys and values of the tokens read so far, so that a new token costs one position.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::config::ModelConfig;
use crate::lm::kernels::{HeadCounts, SLOTS_AT_ONCE, cached_attention, split_heads};

/// Offset of the score of a slot that holds no token yet, or padding.
const HIDDEN_SCORE: f32 = -1e9;

/// Preallocated keys and values, `[rows, key_value_heads, capacity, head_width]` in each layer.
///
/// The first slots of every row hold the prompt, padded on the right to one length, and the response starts
/// after them.
pub struct KvCache {
    keys: Vec<Tensor<4>>,
    values: Vec<Tensor<4>>,
    /// Offsets of the scores, `[rows, capacity]`: very low for padding of a prompt, 0 for all other slots.
    prompt_scores: Tensor<2>,
    /// `prompt_scores` with very low offsets also for slots not written yet; made again after each token.
    scores: Option<Tensor<2>>,
    written: usize,
    capacity: usize,
    heads: HeadCounts,
    /// Cosines and sines of the positions, `[capacity, head_width]`.
    rotation: Option<Tensor<2>>,
}

impl KvCache {
    /// Creates a cache for `rows` sequences of at most `capacity` tokens; `rotation` holds the cosines and sines of
    /// their positions.
    pub(super) fn new(
        config: &ModelConfig,
        rows: usize,
        capacity: usize,
        rotation: Option<Tensor<2>>,
        device: &Device,
    ) -> Self {
        let capacity = capacity.next_multiple_of(SLOTS_AT_ONCE);
        let shape = [rows, config.key_value_heads, capacity, config.head_width];
        let empty = || (0..config.layers).map(|_| Tensor::zeros(shape, device)).collect();
        Self {
            keys: empty(),
            values: empty(),
            prompt_scores: Tensor::zeros([rows, capacity], device),
            scores: None,
            written: 0,
            capacity,
            heads: config.head_counts(),
            rotation,
        }
    }

    /// Returns cosines and sines at some positions `[rows]`, `[rows, head_width]`.
    pub(super) fn rotation_at(&self, positions: Tensor<1, Int>) -> Option<Tensor<2>> {
        self.rotation.clone().map(|table| table.select(0, positions))
    }

    /// Stores the keys and values of the prompts in one layer: `[rows · seq, (heads + 2 · key_value_heads) · head_width]`.
    pub(super) fn keep(&mut self, layer: usize, qkv: Tensor<2>, rows: usize, seq: usize) {
        let [_, key, value] = split_heads(qkv, rows, seq, self.heads);
        self.write(layer, 0, key, value);
        self.written = seq;
    }

    /// Hides the padding of the prompts, of which each has its number of real tokens in `lengths`.
    pub fn hide_padding(&mut self, lengths: &[usize]) {
        let device = self.prompt_scores.device();
        let score = |length: usize, slot: usize| {
            if slot >= length && slot < self.written { HIDDEN_SCORE } else { 0.0 }
        };
        let scores: Vec<f32> =
            lengths.iter().flat_map(|&length| (0..self.capacity).map(move |slot| score(length, slot))).collect();
        self.prompt_scores = Tensor::from_data(TensorData::new(scores, [lengths.len(), self.capacity]), &device);
    }

    /// Returns the cache with row `rows[i]` at row `i`: several responses share the prompt of one query.
    pub fn repeat_rows(self, rows: &[usize]) -> Self {
        let [held, _] = self.prompt_scores.dims();
        if rows.iter().copied().eq(0..held) {
            return self;
        }
        let device = self.prompt_scores.device();
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows.len()]), &device);
        let pick = |all: Vec<Tensor<4>>| all.into_iter().map(|t| t.select(0, index.clone())).collect();
        Self {
            keys: pick(self.keys),
            values: pick(self.values),
            prompt_scores: self.prompt_scores.select(0, index.clone()),
            ..self
        }
    }

    /// Writes the keys and values of one new token of each row, and computes its attention:
    /// `[rows, (heads + 2 · key_value_heads) · head_width]` to `[rows, heads · head_width]`.
    // `layer` is in range, as in `write`.
    #[allow(clippy::indexing_slicing)]
    pub(super) fn attend(&mut self, layer: usize, qkv: Tensor<2>) -> Tensor<2> {
        let [rows, width] = qkv.dims();
        let query = qkv.clone().slice([0..rows, 0..self.heads.queries * self.heads.width_of_one(width)]);
        let [_, key, value] = split_heads(qkv, rows, 1, self.heads);
        self.write(layer, self.written, key, value);
        let (keys, values) = (self.keys[layer].clone(), self.values[layer].clone());
        cached_attention(query, keys, values, self.scores(), self.written + 1)
    }

    /// Ends a token, so that the next token is written to the next slot.
    pub(super) fn advance(&mut self) {
        self.written += 1;
        self.scores = None;
    }

    /// Returns the offsets of the scores, `[rows, capacity]`: 0 for slots that may be seen, very low for the
    /// rest.
    fn scores(&mut self) -> Tensor<2> {
        let (written, capacity, device) = (self.written, self.capacity, self.prompt_scores.device());
        let prompt_scores = &self.prompt_scores;
        self.scores
            .get_or_insert_with(|| {
                let unwritten: Vec<f32> =
                    (0..capacity).map(|slot| if slot > written { HIDDEN_SCORE } else { 0.0 }).collect();
                prompt_scores.clone() + Tensor::<2>::from_data(TensorData::new(unwritten, [1, capacity]), &device)
            })
            .clone()
    }

    // `layer` comes from enumerating the model's blocks, for whose number the cache was made.
    #[allow(clippy::indexing_slicing)]
    fn write(&mut self, layer: usize, slot: usize, key: Tensor<4>, value: Tensor<4>) {
        let [rows, heads, seq, head_width] = key.dims();
        let place = [0..rows, 0..heads, slot..slot + seq, 0..head_width];
        // In place: a clone alive elsewhere would turn each write into a copy of the cache.
        self.keys[layer].inplace(|keys| keys.slice_assign(place.clone(), key));
        self.values[layer].inplace(|values| values.slice_assign(place, value));
    }
}
