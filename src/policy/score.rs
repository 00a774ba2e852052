//! From a response to its score: cut it, ask the reward model, and replace what has no end by
//! the penalty (`train_policy.py`, `lm_tasks.py`).

/// Scores with those of responses that are not valid replaced by `penalty`.
pub fn penalize(scores: &[f64], valid: &[bool], penalty: f64) -> Vec<f64> {
    scores.iter().zip(valid).map(|(&score, &valid)| if valid { score } else { penalty }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_cannot_be_cut_earns_the_penalty_in_place_of_its_score() {
        assert_eq!(penalize(&[3.0, 4.0], &[false, true], -1.0), [-1.0, 4.0]);
    }
}
