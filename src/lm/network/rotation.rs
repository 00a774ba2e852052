//! Rotary positions (Su et al., 2021): queries and keys are rotated by angles that grow with the position, so that
//! their products depend on distances.

use std::f64::consts::TAU;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Angles of the rotation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rotation {
    /// Base of the frequencies.
    pub theta: f64,
    pub scaling: Option<Llama3Scaling>,
}

/// Scaling of Llama 3.1, which stretches the long waves for sequences longer than those of the first training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Llama3Scaling {
    /// Divisor of the low frequencies.
    pub factor: f64,
    /// A wave is long if fewer than this many fit into `original_positions`.
    pub low_frequency_factor: f64,
    /// A wave is short, and stays as it is, if more than this many fit into `original_positions`.
    pub high_frequency_factor: f64,
    /// Longest sequence of the first training, in tokens.
    pub original_positions: f64,
}

impl Rotation {
    /// Returns cosines and sines for some positions, `[positions, head_width]`: a row holds the cosines of
    /// `head_width / 2` angles, and then their sines.
    ///
    /// The host computes them in f64: the sines of a graphics adapter are exact only near 0.
    pub fn table(&self, positions: Range<usize>, head_width: usize) -> Vec<f32> {
        let frequencies = self.frequencies(head_width);
        let row = |position: usize| {
            let angles = frequencies.iter().map(move |frequency| position as f64 * frequency);
            angles.clone().map(f64::cos).chain(angles.map(f64::sin)).map(|value| value as f32)
        };
        positions.flat_map(row).collect()
    }

    /// Returns the angle by which each pair of numbers turns from one position to the next, `[head_width / 2]`.
    fn frequencies(&self, head_width: usize) -> Vec<f64> {
        let pairs = head_width / 2;
        let frequency = |pair: usize| self.theta.powf(-(pair as f64) / pairs as f64);
        let scaled = |frequency| self.scaling.map_or(frequency, |scaling| scaling.frequency(frequency));
        (0..pairs).map(frequency).map(scaled).collect()
    }
}

impl Llama3Scaling {
    fn frequency(&self, frequency: f64) -> f64 {
        let waves = self.original_positions * frequency / TAU;
        let Self { factor, low_frequency_factor: low, high_frequency_factor: high, .. } = *self;
        let unscaled = ((waves - low) / (high - low)).clamp(0.0, 1.0);
        frequency * (unscaled + (1.0 - unscaled) / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from `transformers` 5.24 with `rope_theta` 500,000, factor 32, 1, 4 and 8,192, width 64
    /// (Llama-3.2-1B).
    #[test]
    fn frequencies_of_llama_3() {
        let scaling = Llama3Scaling {
            factor: 32.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_positions: 8192.0,
        };
        let rotation = Rotation { theta: 500_000.0, scaling: Some(scaling) };
        let found = rotation.frequencies(64);
        let expected = [
            (0, 1.0),
            (5, 0.128_687_38),
            (12, 7.292_665_075e-3),
            (14, 3.211_446_106e-3),
            (15, 1.290_548_010e-3),
            (16, 4.295_567_05e-4),
            (17, 9.708_286_233e-5),
            (20, 8.570_255_886e-6),
            (31, 9.418_306_49e-8),
        ];
        for (place, expected) in expected {
            assert!((found[place] / expected - 1.0_f64).abs() < 1e-6, "{place}: {} for {expected}", found[place]);
        }
    }

    #[test]
    fn a_table_holds_cosines_and_then_sines() {
        let table = Rotation { theta: 100.0, scaling: None }.table(2..4, 4);
        let expected = [2.0f64, 0.2].map(f64::cos).into_iter().chain([2.0f64, 0.2].map(f64::sin));
        let expected = expected.chain([3.0f64, 0.3].map(f64::cos)).chain([3.0f64, 0.3].map(f64::sin));
        for (found, expected) in table.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-7);
        }
        assert_eq!(table.len(), 8);
    }
}
