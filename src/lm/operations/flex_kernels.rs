//! The fused operations as loops over slices, compiled for the vector width that the processor
//! turns out to have.

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{Bytes, DType, Shape};
use pulp::Arch;

use super::fused::FusedOperations;

/// Numbers summed side by side: strict order would keep the compiler from using vectors.
const LANES: usize = 16;

const GELU_CUBIC: f32 = 0.071_354_816;
const GELU_LINEAR: f32 = 1.595_769;

/// A tensor's elements in row-major order, copied only if they are not so in memory.
struct Elements(FlexTensor);

impl Elements {
    fn of(tensor: FlexTensor) -> Self {
        if tensor.as_slice::<f32>().is_some() { Self(tensor) } else { Self(tensor.to_contiguous()) }
    }

    fn slice(&self) -> &[f32] {
        self.0.as_slice::<f32>().unwrap_or_default()
    }

    fn shape(&self) -> Shape {
        self.0.layout().shape().clone()
    }

    /// Size of the last dimension.
    fn width(&self) -> usize {
        self.shape().to_vec().last().copied().unwrap_or(1).max(1)
    }
}

fn tensor(elements: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(elements), Layout::contiguous(shape), DType::F32)
}

/// eˣ to a few units in the last place, without a call: `2ⁿ · p(r)` with `x = n ln 2 + r`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2²³ leaves the rounded integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let polynomial =
        1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    let power = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    polynomial * f32::from_bits(power)
}

#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&value| term(value)).sum::<f32>()
}

#[inline(always)]
fn sum_products(left: &[f32], right: &[f32]) -> f32 {
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    let mut lanes = [0.0f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for ((lane, l), r) in lanes.iter_mut().zip(left).zip(right) {
            *lane += l * r;
        }
    }
    lanes.iter().sum::<f32>() + left_rest.iter().zip(right_rest).map(|(l, r)| l * r).sum::<f32>()
}

#[inline(always)]
fn maximum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Mean and 1/√(variance + ε) of a row.
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// Log of the sum of exponentials of a row.
#[inline(always)]
fn log_sum_exp(row: &[f32]) -> f32 {
    let largest = maximum(row);
    largest + sum(row, |x| exp(x - largest)).ln()
}

fn target_ids(targets: &IntTensor<Flex>) -> Vec<usize> {
    let targets = targets.to_contiguous();
    let wide = targets.as_slice::<i64>().map(|ids| ids.iter().map(|&id| id as usize).collect());
    wide.or_else(|| targets.as_slice::<i32>().map(|ids| ids.iter().map(|&id| id as usize).collect()))
        .unwrap_or_default()
}

impl FusedOperations for Flex {
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = Elements::of(x);
        let mut result = x.slice().to_vec();
        Arch::new().dispatch(|| {
            for value in &mut result {
                let x = *value;
                *value = x * sigmoid(x * (GELU_LINEAR + GELU_CUBIC * x * x));
            }
        });
        tensor(result, x.shape())
    }

    fn fused_gelu_gradient(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, gradient) = (Elements::of(x), Elements::of(gradient));
        let mut result = gradient.slice().to_vec();
        Arch::new().dispatch(|| {
            for (value, &x) in result.iter_mut().zip(x.slice()) {
                let square = x * x;
                let s = sigmoid(x * (GELU_LINEAR + GELU_CUBIC * square));
                *value *= s + x * s * (1.0 - s) * (GELU_LINEAR + 3.0 * GELU_CUBIC * square);
            }
        });
        tensor(result, x.shape())
    }

    fn fused_layer_norm(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let (rows, weight, bias) = (Elements::of(rows), Elements::of(weight), Elements::of(bias));
        let mut result = rows.slice().to_vec();
        Arch::new().dispatch(|| {
            for row in result.chunks_mut(rows.width()) {
                let (mean, scale) = moments(row, epsilon as f32);
                for ((value, w), b) in row.iter_mut().zip(weight.slice()).zip(bias.slice()) {
                    *value = (*value - mean) * scale * w + b;
                }
            }
        });
        tensor(result, rows.shape())
    }

    fn fused_layer_norm_gradients(
        rows: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (rows, weight, gradient) = (Elements::of(rows), Elements::of(weight), Elements::of(gradient));
        let width = rows.width();
        let mut to_rows = gradient.slice().to_vec();
        let (mut to_weight, mut to_bias) = (vec![0.0; width], vec![0.0; width]);
        Arch::new().dispatch(|| {
            let mut normed = vec![0.0; width];
            for (row, gradient) in rows.slice().chunks(width).zip(to_rows.chunks_mut(width)) {
                let (mean, scale) = moments(row, epsilon as f32);
                for (normed, x) in normed.iter_mut().zip(row) {
                    *normed = (x - mean) * scale;
                }
                let totals = to_weight.iter_mut().zip(&mut to_bias);
                for ((weight, bias), (gradient, normed)) in totals.zip(gradient.iter().zip(&normed)) {
                    *weight += gradient * normed;
                    *bias += gradient;
                }
                for (gradient, weight) in gradient.iter_mut().zip(weight.slice()) {
                    *gradient *= weight;
                }
                let along_mean = sum(gradient, |g| g) / width as f32;
                let along_scale = sum_products(gradient, &normed) / width as f32;
                for (gradient, normed) in gradient.iter_mut().zip(&normed) {
                    *gradient = scale * (*gradient - along_mean - normed * along_scale);
                }
            }
        });
        let parameters = weight.shape();
        (tensor(to_rows, rows.shape()), tensor(to_weight, parameters.clone()), tensor(to_bias, parameters))
    }

    fn fused_causal_softmax(scores: FloatTensor<Self>, scale: f64) -> FloatTensor<Self> {
        let scores = Elements::of(scores);
        let seq = scores.width();
        let scale = scale as f32;
        let mut result = scores.slice().to_vec();
        Arch::new().dispatch(|| {
            for (place, row) in result.chunks_mut(seq).enumerate() {
                let (seen, later) = row.split_at_mut(place % seq + 1);
                let largest = maximum(seen);
                for value in seen.iter_mut() {
                    *value = exp(scale * (*value - largest));
                }
                let total = 1.0 / sum(seen, |x| x);
                for value in seen {
                    *value *= total;
                }
                later.fill(0.0);
            }
        });
        tensor(result, scores.shape())
    }

    fn fused_causal_softmax_gradient(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let (weights, gradient) = (Elements::of(weights), Elements::of(gradient));
        let seq = weights.width();
        let scale = scale as f32;
        let mut result = gradient.slice().to_vec();
        Arch::new().dispatch(|| {
            for (gradient, weights) in result.chunks_mut(seq).zip(weights.slice().chunks(seq)) {
                let along = sum_products(gradient, weights);
                for (gradient, weight) in gradient.iter_mut().zip(weights) {
                    *gradient = scale * weight * (*gradient - along);
                }
            }
        });
        tensor(result, weights.shape())
    }

    fn fused_pick_log_probs(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        let logits = Elements::of(logits);
        let targets = target_ids(&targets);
        let picked: Vec<f32> = Arch::new().dispatch(|| {
            let rows = logits.slice().chunks(logits.width()).zip(&targets);
            rows.map(|(row, &target)| row.get(target).copied().unwrap_or(f32::NAN) - log_sum_exp(row)).collect()
        });
        let rows = picked.len();
        tensor(picked, Shape::from([rows]))
    }

    fn fused_pick_log_probs_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (logits, gradient) = (Elements::of(logits), Elements::of(gradient));
        let targets = target_ids(&targets);
        let mut result = logits.slice().to_vec();
        Arch::new().dispatch(|| {
            let rows = result.chunks_mut(logits.width()).zip(gradient.slice());
            for ((row, &gradient), &target) in rows.zip(&targets) {
                let log_total = log_sum_exp(row);
                for value in row.iter_mut() {
                    *value = -gradient * exp(*value - log_total);
                }
                if let Some(chosen) = row.get_mut(target) {
                    *chosen += gradient;
                }
            }
        });
        tensor(result, logits.shape())
    }
}
