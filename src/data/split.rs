//! Which comparisons train the reward model, and which measure it.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Splits comparisons into `(train, held_out)` so that accuracy is measured on queries training
/// has not seen: all comparisons of one query go to the same side.
///
/// `held_out_fraction` (0 to 1) counts distinct queries; with two queries or more, each side
/// gets at least one; a single query trains. Both sides keep the order of the input. The same
/// seed gives the same split, and comparisons appended later move few queries across.
pub fn split_by_query<C, Q: Hash + Eq + Clone>(
    comparisons: Vec<C>,
    query: impl Fn(&C) -> &Q,
    held_out_fraction: f64,
    seed: u64,
) -> (Vec<C>, Vec<C>) {
    let held_out = held_out_queries(comparisons.iter().map(&query), held_out_fraction, seed);
    comparisons.into_iter().partition(|comparison| !held_out.contains(query(comparison)))
}

/// The first `count` comparisons train, as in the original; of the rest, those of other queries
/// measure. In the original's files about one query in eight comes more than once.
pub fn split_after<C, Q: Hash + Eq + Clone>(
    mut comparisons: Vec<C>,
    query: impl Fn(&C) -> &Q,
    count: usize,
) -> (Vec<C>, Vec<C>) {
    let rest = comparisons.split_off(count.min(comparisons.len()));
    let trained: HashSet<&Q> = comparisons.iter().map(&query).collect();
    let held_out = rest.into_iter().filter(|comparison| !trained.contains(query(comparison))).collect();
    (comparisons, held_out)
}

fn held_out_queries<'a, Q: Hash + Eq + Clone + 'a>(
    queries: impl Iterator<Item = &'a Q>,
    fraction: f64,
    seed: u64,
) -> HashSet<Q> {
    // One random number a query, in order of first appearance, so that a query keeps its number
    // when the log grows; the smallest are held out.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut numbers: HashMap<&Q, u64> = HashMap::new();
    for query in queries {
        numbers.entry(query).or_insert_with(|| random.next_u64());
    }
    let mut queries: Vec<(u64, &Q)> = numbers.into_iter().map(|(q, n)| (n, q)).collect();
    queries.sort_unstable_by_key(|(number, _)| *number);
    let wanted = (queries.len() as f64 * fraction).round() as usize;
    let most = queries.len().saturating_sub(1);
    let count = wanted.clamp(most.min(1), most);
    queries.into_iter().take(count).map(|(_, q)| q.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of a comparison, and its query.
    type Numbered = (usize, String);

    /// Three comparisons of each of `count` queries, interleaved.
    fn comparisons(count: usize) -> Vec<Numbered> {
        (0..3 * count).map(|i| (i, format!("query {}", i % count))).collect()
    }

    fn split(comparisons: Vec<Numbered>, fraction: f64, seed: u64) -> (Vec<Numbered>, Vec<Numbered>) {
        split_by_query(comparisons, |(_, query)| query, fraction, seed)
    }

    fn queries(side: &[Numbered]) -> HashSet<&str> {
        side.iter().map(|(_, query)| query.as_str()).collect()
    }

    #[test]
    fn no_query_is_on_both_sides_and_the_fraction_counts_queries() {
        let (train, held_out) = split(comparisons(40), 0.25, 1);
        assert!(queries(&train).is_disjoint(&queries(&held_out)));
        assert_eq!((queries(&train).len(), queries(&held_out).len()), (30, 10));
        assert_eq!((train.len(), held_out.len()), (90, 30));
    }

    #[test]
    fn the_first_so_many_train_and_only_other_queries_measure() {
        // Numbers 0 to 49 train: queries 0 to 39, and 0 to 9 again. Nothing is left to measure.
        assert_eq!(split_after(comparisons(40), |(_, query)| query, 50), (comparisons(40)[..50].to_vec(), Vec::new()));
        let (train, held_out) = split_after(comparisons(40), |(_, query)| query, 30);
        assert_eq!((train.len(), queries(&train).len()), (30, 30));
        assert!(queries(&train).is_disjoint(&queries(&held_out)));
        // Three comparisons of each of the ten queries that are left.
        assert_eq!((held_out.len(), queries(&held_out).len()), (30, 10));
        assert_eq!(split_after(comparisons(2), |(_, query)| query, 99).0.len(), 6);
    }

    #[test]
    fn the_seed_decides() {
        let split = |seed| split(comparisons(40), 0.25, seed);
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
    }

    #[test]
    fn each_side_gets_a_query_when_there_are_two() {
        for fraction in [0.0, 0.01, 0.5, 1.0, f64::NAN] {
            let (train, held_out) = split(comparisons(2), fraction, 1);
            assert_eq!((train.len(), held_out.len()), (3, 3), "{fraction}");
        }
        let (train, held_out) = split(comparisons(1), 0.5, 1);
        assert_eq!((train.len(), held_out.len()), (3, 0));
        assert_eq!(split(Vec::new(), 0.5, 1), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_growing_log_keeps_its_held_out_queries() {
        let all = comparisons(100);
        let (_, before) = split(all[..96].to_vec(), 0.25, 7);
        let (_, after) = split(all, 0.25, 7);
        let stayed = queries(&before).intersection(&queries(&after)).count();
        assert!(stayed >= 22, "{stayed} of 24 held-out queries stayed");
    }
}
