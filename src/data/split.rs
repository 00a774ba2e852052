//! Which comparisons train the reward model, and which measure it.

use std::collections::{HashMap, HashSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::comparisons::Comparison;

/// Splits comparisons into `(train, held_out)` so that accuracy is measured on queries training
/// has not seen: all comparisons of one query go to the same side.
///
/// `held_out_fraction` (0 to 1) counts distinct queries; with two queries or more, each side
/// gets at least one; a single query trains. Both sides keep the order of the input. The same
/// seed gives the same split, and comparisons appended later move few queries across.
pub fn split_by_query(
    comparisons: Vec<Comparison>,
    held_out_fraction: f64,
    seed: u64,
) -> (Vec<Comparison>, Vec<Comparison>) {
    let held_out = held_out_queries(&comparisons, held_out_fraction, seed);
    comparisons.into_iter().partition(|comparison| !held_out.contains(&comparison.query))
}

fn held_out_queries(comparisons: &[Comparison], fraction: f64, seed: u64) -> HashSet<String> {
    // One random number a query, in order of first appearance, so that a query keeps its number
    // when the log grows; the smallest are held out.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    for comparison in comparisons {
        numbers.entry(&comparison.query).or_insert_with(|| random.next_u64());
    }
    let mut queries: Vec<(u64, &str)> = numbers.into_iter().map(|(q, n)| (n, q)).collect();
    queries.sort_unstable();
    let wanted = (queries.len() as f64 * fraction).round() as usize;
    let most = queries.len().saturating_sub(1);
    let count = wanted.clamp(most.min(1), most);
    queries.into_iter().take(count).map(|(_, q)| q.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three comparisons of each of `count` queries, interleaved.
    fn comparisons(count: usize) -> Vec<Comparison> {
        (0..3 * count)
            .map(|i| Comparison {
                id: i.to_string(),
                query: format!("query {}", i % count),
                responses: vec!["a".into(), "b".into()],
                best: 0,
                labeler: String::new(),
                ms: None,
                at: None,
                policy: String::new(),
                order: Vec::new(),
            })
            .collect()
    }

    fn queries(side: &[Comparison]) -> HashSet<&str> {
        side.iter().map(|comparison| comparison.query.as_str()).collect()
    }

    #[test]
    fn no_query_is_on_both_sides_and_the_fraction_counts_queries() {
        let (train, held_out) = split_by_query(comparisons(40), 0.25, 1);
        assert!(queries(&train).is_disjoint(&queries(&held_out)));
        assert_eq!((queries(&train).len(), queries(&held_out).len()), (30, 10));
        assert_eq!((train.len(), held_out.len()), (90, 30));
    }

    #[test]
    fn the_seed_decides() {
        let split = |seed| split_by_query(comparisons(40), 0.25, seed);
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
    }

    #[test]
    fn each_side_gets_a_query_when_there_are_two() {
        for fraction in [0.0, 0.01, 0.5, 1.0, f64::NAN] {
            let (train, held_out) = split_by_query(comparisons(2), fraction, 1);
            assert_eq!((train.len(), held_out.len()), (3, 3), "{fraction}");
        }
        let (train, held_out) = split_by_query(comparisons(1), 0.5, 1);
        assert_eq!((train.len(), held_out.len()), (3, 0));
        assert_eq!(split_by_query(Vec::new(), 0.5, 1), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_growing_log_keeps_its_held_out_queries() {
        let all = comparisons(100);
        let (_, before) = split_by_query(all[..96].to_vec(), 0.25, 7);
        let (_, after) = split_by_query(all, 0.25, 7);
        let stayed = queries(&before).intersection(&queries(&after)).count();
        assert!(stayed >= 22, "{stayed} of 24 held-out queries stayed");
    }
}
