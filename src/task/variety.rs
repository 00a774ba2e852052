//! Variety of responses: a policy that answers everything alike may score high and be of no use.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// Variety of some responses to different queries. Both shares fall as the number of responses grows: compare them for
/// equal numbers only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Variety {
    /// Distinct bigrams (pairs of neighbouring tokens), as a share of all bigrams in all responses (distinct-2; Li et
    /// al., 2016).
    pub distinct_bigrams: f64,
    /// Different responses, as a share of all.
    pub distinct_responses: f64,
}

impl Variety {
    /// Measures the variety of responses in tokens, without padding.
    pub fn of<'a>(responses: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let responses: Vec<&[u32]> = responses.into_iter().collect();
        let bigrams: Vec<&[u32]> = responses.iter().flat_map(|response| response.windows(2)).collect();
        Self { distinct_bigrams: share_of_different(&bigrams), distinct_responses: share_of_different(&responses) }
    }
}

/// Returns the number of different items as a share of all; 1 where there are none.
fn share_of_different(items: &[&[u32]]) -> f64 {
    let different: HashSet<&[u32]> = items.iter().copied().collect();
    if items.is_empty() { 1.0 } else { different.len() as f64 / items.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bigrams_and_equal_responses_count_once() {
        let responses = [vec![1, 2, 3], vec![1, 2, 4], vec![1, 2, 3], vec![5]];
        let Variety { distinct_bigrams, distinct_responses } = Variety::of(responses.iter().map(Vec::as_slice));
        // (1, 2), (2, 3) and (2, 4) of six.
        assert_eq!((distinct_bigrams, distinct_responses), (0.5, 0.75));
        assert_eq!(Variety::of([]), Variety { distinct_bigrams: 1.0, distinct_responses: 1.0 });
    }
}
