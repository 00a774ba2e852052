//! Controller of the KL coefficient (β), which keeps the policy at a chosen KL from the reference (paper, section 2.2).

use serde::{Deserialize, Serialize};

/// KL coefficient (β) and its adaptation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KlController {
    /// KL coefficient (β): the cost of one nat.
    pub coefficient: f64,
    /// Adaptation of β to a target KL; `None` for a fixed β.
    pub adaptive: Option<Adaptive>,
}

/// The adaptive part of a [`KlController`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adaptive {
    /// Target KL in nats per response.
    pub target: f64,
    /// Horizon in episodes; the paper's K_β is batch / horizon.
    pub horizon: f64,
}

impl KlController {
    /// Returns the controller after so many episodes with this KL:
    /// `β ← β · (1 + clip(KL/target − 1, ±0.2) · episodes/horizon)` (`AdaptiveKLController`).
    #[must_use]
    pub fn after(self, kl: f64, episodes: usize) -> Self {
        let Some(Adaptive { target, horizon }) = self.adaptive else { return self };
        let error = (kl / target - 1.0).clamp(-0.2, 0.2);
        Self { coefficient: self.coefficient * (1.0 + error * episodes as f64 / horizon), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(adaptive: bool) -> KlController {
        KlController { coefficient: 0.15, adaptive: adaptive.then_some(Adaptive { target: 6.0, horizon: 10_000.0 }) }
    }

    #[test]
    fn beta_moves_at_most_one_percent_an_update_at_the_original_batch() {
        // 0.2 · 512 / 10000 = 1.024%, the original's settings.
        assert!((controller(true).after(60.0, 512).coefficient / 0.15 - 1.010_24).abs() < 1e-12);
        assert!((controller(true).after(-5.0, 512).coefficient / 0.15 - 0.989_76).abs() < 1e-12);
    }

    #[test]
    fn beta_rests_on_target_and_when_it_is_fixed() {
        assert_eq!(controller(true).after(6.0, 512).coefficient, 0.15);
        assert_eq!(controller(false).after(60.0, 512).coefficient, 0.15);
    }
}
