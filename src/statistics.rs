//! Averages, and the confidence interval of a proportion.

use serde::{Deserialize, Serialize};

/// The 97.5th percentile of the standard normal distribution: two-sided 95%.
const Z_95: f64 = 1.959_963_984_540_054;

/// A 95% confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Returns the arithmetic mean; `None` when there are no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Returns the mean squared distance from the mean (divided by n, not n − 1); `None` when there are no values.
pub fn population_variance(values: &[f64]) -> Option<f64> {
    let center = mean(values)?;
    let squared_distances: Vec<f64> = values.iter().map(|value| (value - center).powi(2)).collect();
    mean(&squared_distances)
}

/// Returns the 95% confidence interval of a proportion: the score interval (Wilson 1927; method 3 in Newcombe 1998).
///
/// `successes` lies in `0..=trials` and may be fractional, because a tie counts one half.
/// A verdict that can also be one half varies less than a yes or no with the same mean,
/// so with ties this interval is somewhat too wide and never too narrow: no bootstrap is
/// needed. Without trials nothing is known, and the interval is 0 to 1.
pub fn wilson_interval(successes: f64, trials: usize) -> Interval {
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = trials as f64;
    let proportion = successes / n;
    let z_squared = Z_95 * Z_95;
    let center = proportion + z_squared / (2.0 * n);
    let spread = Z_95 * (proportion * (1.0 - proportion) / n + z_squared / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z_squared / n;
    // Rounding may leave [0, 1] by one unit in the last place when all or none succeed.
    Interval { low: ((center - spread) / scale).max(0.0), high: ((center + spread) / scale).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newcombe (1998), "Two-sided confidence intervals for the single proportion",
    /// Statistics in Medicine 17, Table I, method 3, to four decimals.
    #[test]
    fn wilson_agrees_with_newcombes_table() {
        let table = [
            (81.0, 263, 0.2553, 0.3662),
            (15.0, 148, 0.0624, 0.1605),
            (0.0, 20, 0.0000, 0.1611),
            (1.0, 29, 0.0061, 0.1718),
        ];
        for (successes, trials, low, high) in table {
            let interval = wilson_interval(successes, trials);
            assert!((interval.low - low).abs() < 5e-5, "{successes}/{trials}: {interval:?}");
            assert!((interval.high - high).abs() < 5e-5, "{successes}/{trials}: {interval:?}");
        }
    }

    #[test]
    fn wilson_stays_between_0_and_1() {
        assert_eq!(wilson_interval(0.0, 0), Interval { low: 0.0, high: 1.0 });
        for trials in [1, 3, 7, 1000] {
            let none = wilson_interval(0.0, trials);
            let all = wilson_interval(trials as f64, trials);
            assert!(none.low >= 0.0 && all.high <= 1.0);
            assert!((none.high - (1.0 - all.low)).abs() < 1e-12, "mirrored");
        }
    }

    #[test]
    fn variance_divides_by_the_count() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!(mean(&values), Some(5.0));
        assert_eq!(population_variance(&values), Some(4.0));
        assert_eq!(mean(&[]), None);
        assert_eq!(population_variance(&[]), None);
    }
}
