//! One axis of a chart: its range, its ticks and their labels.

/// A linear axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

/// Approximate number of intervals between ticks in a small chart.
const INTERVALS: f64 = 4.0;

/// Checks whether a value can be drawn. Differences of values beyond the range of an f32 may overflow.
pub(super) fn is_drawable(value: f64) -> bool {
    value.abs() <= f64::from(f32::MAX)
}

impl Scale {
    /// Returns an axis from the smallest to the largest value, or `None` without a drawable value.
    pub(super) fn tight(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut low = f64::INFINITY;
        let mut high = f64::NEG_INFINITY;
        let mut all_whole = true;
        for value in values.filter(|value| is_drawable(*value)) {
            low = low.min(value);
            high = high.max(value);
            all_whole &= value.fract() == 0.0;
        }
        if low > high {
            return None;
        }
        // Values that are constant, or that differ only by rounding, need room around them.
        let smallest = f64::from(f32::MIN_POSITIVE);
        if high - low <= smallest.max(1e-5 * low.abs().max(high.abs())) {
            let margin = if low.abs() <= smallest { 1.0 } else { low.abs() / 2.0 };
            (low, high) = (low - margin, high + margin);
        }
        let step = nice_step((high - low) / INTERVALS);
        Some(Self { low, high, step: if all_whole { step.max(1.0) } else { step } })
    }

    /// Returns the axis of [`Scale::tight`], widened so that it begins and ends at a tick.
    pub(super) fn rounded(values: impl Iterator<Item = f64>) -> Option<Self> {
        let Self { low, high, step } = Self::tight(values)?;
        // A value below 0 only by rounding needs no tick there.
        let low = if low < 0.0 && -low < 1e-3 * step { 0.0 } else { low };
        Some(Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step })
    }

    /// Returns the position of a value: 0 at the low end, 1 at the high end.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Returns the values of the ticks, from low to high.
    pub(super) fn ticks(&self) -> Vec<f64> {
        // Rounding must not lose a tick that stands at an end.
        let first = (self.low / self.step - 1e-6).ceil();
        let last = (self.high / self.step + 1e-6).floor();
        (0..=(last - first) as usize).map(|index| (first + index as f64) * self.step).collect()
    }

    /// Formats a tick in as many digits as distinguish it from its neighbours.
    pub(super) fn label(&self, tick: f64) -> String {
        if tick.abs() < self.step / 2.0 {
            return "0".into();
        }
        let (unit, suffix) = match self.low.abs().max(self.high.abs()) {
            1e-3..1e4 => (1.0, ""),
            1e4..1e6 => (1e3, "k"),
            1e6..1e9 => (1e6, "M"),
            _ => return format!("{tick:.1e}").replace(".0e", "e"),
        };
        let decimals = (-(self.step / unit).log10() - 1e-6).ceil().clamp(0.0, 6.0) as usize;
        format!("{:.decimals$}{suffix}", tick / unit)
    }
}

/// Returns the smallest of 1, 2 and 5 times a power of ten that is not below `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| scale.label(tick)).collect()
    }

    fn rounded(values: &[f64]) -> Scale {
        Scale::rounded(values.iter().copied()).unwrap()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(rounded(&[-0.3, 2.71])), ["-1", "0", "1", "2", "3"]);
        assert_eq!(labels(rounded(&[0.13, 0.21])), ["0.12", "0.14", "0.16", "0.18", "0.20", "0.22"]);
        assert_eq!(labels(rounded(&[0.0, 2e6])), ["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
        assert_eq!(labels(rounded(&[1e-7, 9e-6])), ["0", "5e-6", "1e-5"]);
        assert_eq!(labels(Scale::tight([1.0, 3.0].into_iter()).unwrap()), ["1", "2", "3"]);
    }

    #[test]
    fn a_constant_lies_in_the_middle() {
        for value in [0.0, 0.15, -3.0, 1e-12, f64::from(f32::MAX)] {
            let scale = Scale::tight([value, value].into_iter()).unwrap();
            assert!((scale.fraction(value) - 0.5).abs() < 1e-9, "{value}");
            assert!((2..=7).contains(&scale.ticks().len()), "{value}: {:?}", scale.ticks());
        }
    }

    #[test]
    fn extreme_values_neither_hang_nor_overflow() {
        let largest = f64::from(f32::MAX);
        for values in [[-largest, largest], [1.0, 1.0 + f64::EPSILON], [0.0, 5e-324], [f64::NAN, 4.0]] {
            let scale = rounded(&values);
            assert!(scale.ticks().len() < 12, "{values:?}");
            assert!(scale.ticks().iter().all(|tick| scale.fraction(*tick).is_finite()), "{values:?}");
        }
        assert_eq!(Scale::tight([f64::NAN, f64::INFINITY].into_iter()), None);
    }
}
