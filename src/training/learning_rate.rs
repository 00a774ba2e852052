//! Learning rates over the course of a training.

/// Returns `base · (1 − done/total)`: from `base` at the start to 0 after `total`.
///
/// `done` and `total` have one unit, comparisons or updates. The original does the same (`train_reward.py`,
/// `train_policy.py`).
pub fn linear_to_zero(base: f64, done: u64, total: u64) -> f64 {
    if done >= total { 0.0 } else { base * (1.0 - done as f64 / total as f64) }
}

/// Returns a rate that rises linearly over the first `warmup` steps, stays at `base`, and falls linearly to 0
/// over the last `decay` of `total` steps; steps count from 0.
///
/// While the rate stays at `base`, the end can still be moved: a run that resumes with more steps is the same
/// as one planned so from the start.
pub fn warmup_stable_decay(base: f64, step: u64, warmup: u64, decay: u64, total: u64) -> f64 {
    let rise = (step + 1) as f64 / (warmup + 1) as f64;
    let fall = total.saturating_sub(step) as f64 / decay.max(1) as f64;
    base * rise.min(fall).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn linear_ends_at_zero() {
        assert_close(linear_to_zero(5e-5, 0, 4992), 5e-5);
        assert_close(linear_to_zero(5e-5, 2496, 4992), 2.5e-5);
        assert_close(linear_to_zero(5e-5, 4992, 4992), 0.0);
        assert_close(linear_to_zero(5e-5, 1, 0), 0.0);
    }

    #[test]
    fn the_rate_rises_stays_and_falls() {
        let rate = |step| warmup_stable_decay(0.01, step, 9, 50, 200);
        assert_close(rate(0), 0.001);
        assert_close(rate(4), 0.005);
        assert_close(rate(9), 0.01);
        assert_close(rate(150), 0.01);
        assert_close(rate(175), 0.005);
        assert_close(rate(200), 0.0);
    }
}
