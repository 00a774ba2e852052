//! The clipped objective of PPO (Schulman et al., 2017, equations 7 and 9; `train_policy.py`,
//! `PPOTrainer.loss`), written once: for tensors, which carry gradients, and for numbers on the host.

use std::ops::{Add, Mul, Neg, Sub};

use burn::tensor::Tensor;

/// Clip ranges of the policy and the value head, and the weight of the value loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClippedObjective {
    /// Clip range ε of the ratio `π / π_old`.
    pub clip_range: f64,
    /// Clip range ε of the values.
    pub clip_range_value: f64,
    /// Weight c of the value loss.
    pub value_coefficient: f64,
}

/// Loss without and with clipping; the larger of the two is minimized.
#[derive(Debug, Clone)]
pub struct Clipped<N> {
    pub plain: N,
    pub clipped: N,
}

/// Number that the objective computes with: an `f64`, or a `Tensor<1>` of many.
pub trait Number:
    Clone + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Mul<f64, Output = Self> + Neg<Output = Self>
{
    #[must_use]
    fn exp(self) -> Self;

    #[must_use]
    fn square(self) -> Self;

    #[must_use]
    fn clamp(self, lowest: f64, highest: f64) -> Self;

    /// Limits a number to at most `range` away from `center`.
    #[must_use]
    fn clamp_around(self, center: Self, range: f64) -> Self;
}

impl ClippedObjective {
    /// Returns `−Âq` and `−Â clip(q, 1 ± ε)` of each token, where `q = exp(log π − log π_old)`.
    pub fn policy_loss<N: Number>(&self, log_prob: N, old_log_prob: N, advantage: N) -> Clipped<N> {
        let ratio = (log_prob - old_log_prob).exp();
        let clipped_ratio = ratio.clone().clamp(1.0 - self.clip_range, 1.0 + self.clip_range);
        Clipped { plain: ratio * -advantage.clone(), clipped: clipped_ratio * -advantage }
    }

    /// Returns `(V − R)²` and `(clip(V, V_old ± ε) − R)²` of each token. The loss is half the mean of the larger.
    pub fn value_loss<N: Number>(&self, value: N, old_value: N, returned: N) -> Clipped<N> {
        let clipped_value = value.clone().clamp_around(old_value, self.clip_range_value);
        Clipped { plain: (value - returned.clone()).square(), clipped: (clipped_value - returned).square() }
    }

    /// Returns `policy loss + c · value loss`.
    pub fn total<N: Number>(&self, policy_loss: N, value_loss: N) -> N {
        policy_loss + value_loss * self.value_coefficient
    }
}

impl Number for f64 {
    fn exp(self) -> Self {
        f64::exp(self)
    }

    fn square(self) -> Self {
        self * self
    }

    fn clamp(self, lowest: f64, highest: f64) -> Self {
        f64::clamp(self, lowest, highest)
    }

    fn clamp_around(self, center: Self, range: f64) -> Self {
        f64::clamp(self, center - range, center + range)
    }
}

impl Number for Tensor<1> {
    fn exp(self) -> Self {
        Tensor::<1>::exp(self)
    }

    fn square(self) -> Self {
        Tensor::<1>::square(self)
    }

    fn clamp(self, lowest: f64, highest: f64) -> Self {
        Tensor::<1>::clamp(self, lowest, highest)
    }

    fn clamp_around(self, center: Self, range: f64) -> Self {
        center.clone() + Tensor::<1>::clamp(self - center, -range, range)
    }
}
