//! The split of comparisons into those that train the reward model and those that are held out to measure it.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Splits comparisons into `(train, held_out)` so that accuracy is measured on queries training has not seen:
/// all comparisons of one query go to the same side. A query has two keys, such as its text and its tokens;
/// queries that share a key are the same.
///
/// `held_out_fraction` (0 to 1) counts distinct queries. With two queries or more, each side gets at least one.
/// A single query trains. Both sides keep the order of the input. The same seed gives the same split, and
/// comparisons appended later move few queries to the other side.
pub fn split_by_query<C, K: Hash + Eq>(
    comparisons: Vec<C>,
    keys: impl Fn(&C) -> [K; 2],
    held_out_fraction: f64,
    seed: u64,
) -> (Vec<C>, Vec<C>) {
    let queries = numbered(comparisons.iter().map(keys));
    let held_out = held_out_queries(&queries, held_out_fraction, seed);
    let sides: (Vec<_>, Vec<_>) =
        comparisons.into_iter().zip(queries).partition(|(_, query)| !held_out.contains(query));
    let without_numbers = |side: Vec<(C, usize)>| side.into_iter().map(|(comparison, _)| comparison).collect();
    (without_numbers(sides.0), without_numbers(sides.1))
}

/// Splits comparisons into `(train, held_out)`: the first `count`, as in the original, and those of the rest
/// that have other queries. In the original's files about one query in eight comes more than once.
pub fn split_after<C, K: Hash + Eq>(
    mut comparisons: Vec<C>,
    keys: impl Fn(&C) -> [K; 2],
    count: usize,
) -> (Vec<C>, Vec<C>) {
    let mut queries = numbered(comparisons.iter().map(keys));
    let count = count.min(comparisons.len());
    let rest = comparisons.split_off(count).into_iter().zip(queries.split_off(count));
    let trained: HashSet<usize> = queries.into_iter().collect();
    let held_out = rest.filter(|(_, query)| !trained.contains(query)).map(|(comparison, _)| comparison).collect();
    (comparisons, held_out)
}

/// Returns the number of each comparison's query, from 0 in order of first appearance.
fn numbered<K: Hash + Eq>(keys: impl Iterator<Item = [K; 2]>) -> Vec<usize> {
    let mut firsts: [HashMap<K, usize>; 2] = [HashMap::new(), HashMap::new()];
    // For each comparison the place of another with the same query, or its own: a chain to the first of them.
    let mut same: Vec<usize> = Vec::new();
    for (place, keys) in keys.enumerate() {
        same.push(place);
        for (firsts, key) in firsts.iter_mut().zip(keys) {
            let other = *firsts.entry(key).or_insert(place);
            let (one, other) = (first_of(&mut same, place), first_of(&mut same, other));
            if let Some(later) = same.get_mut(one.max(other)) {
                *later = one.min(other);
            }
        }
    }
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    let all = (0..same.len()).map(|place| {
        let (first, next) = (first_of(&mut same, place), numbers.len());
        *numbers.entry(first).or_insert(next)
    });
    all.collect()
}

/// Follows the chain to the first comparison with the same query, and shortens it for the next time.
fn first_of(same: &mut [usize], mut place: usize) -> usize {
    while let Some(&other) = same.get(place)
        && other != place
    {
        let beyond = same.get(other).copied().unwrap_or(other);
        if let Some(link) = same.get_mut(place) {
            *link = beyond;
        }
        place = beyond;
    }
    place
}

fn held_out_queries(queries: &[usize], fraction: f64, seed: u64) -> HashSet<usize> {
    // One random number per query, in order of first appearance, so that a query keeps its number
    // when the log grows; the smallest are held out.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let count = queries.iter().max().map_or(0, |last| last + 1);
    let mut queries: Vec<(u64, usize)> = (0..count).map(|query| (random.next_u64(), query)).collect();
    queries.sort_unstable_by_key(|(number, _)| *number);
    let wanted = (queries.len() as f64 * fraction).round() as usize;
    let most = queries.len().saturating_sub(1);
    let count = wanted.clamp(most.min(1), most);
    queries.into_iter().take(count).map(|(_, query)| query).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of a comparison, and its query.
    type Numbered = (usize, String);

    /// Makes three comparisons of each of `count` queries, interleaved.
    fn comparisons(count: usize) -> Vec<Numbered> {
        (0..3 * count).map(|i| (i, format!("query {}", i % count))).collect()
    }

    fn split(comparisons: Vec<Numbered>, fraction: f64, seed: u64) -> (Vec<Numbered>, Vec<Numbered>) {
        split_by_query(comparisons, keys, fraction, seed)
    }

    fn keys((_, query): &Numbered) -> [String; 2] {
        [query.clone(), query.to_uppercase()]
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
        assert_eq!(split_after(comparisons(40), keys, 50), (comparisons(40)[..50].to_vec(), Vec::new()));
        let (train, held_out) = split_after(comparisons(40), keys, 30);
        assert_eq!((train.len(), queries(&train).len()), (30, 30));
        assert!(queries(&train).is_disjoint(&queries(&held_out)));
        // Three comparisons of each of the ten queries that are left.
        assert_eq!((held_out.len(), queries(&held_out).len()), (30, 10));
        assert_eq!(split_after(comparisons(2), keys, 99).0.len(), 6);
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

    #[test]
    fn queries_that_share_a_key_are_one() {
        let keys = [["a", "A"], ["b", "B"], ["c", "A"], ["d", "D"], ["b", "D"], ["e", "E"], ["e", "A"]];
        assert_eq!(numbered(keys.into_iter()), [0, 1, 0, 1, 1, 0, 0]);
        for seed in 0..20 {
            let (train, held_out) = split_by_query(keys.to_vec(), |keys| *keys, 0.5, seed);
            assert_eq!([train.len(), held_out.len()].iter().max(), Some(&4));
        }
    }
}
