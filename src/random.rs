//! Random numbers as data: a stream for every (run seed, purpose, step, row).
//!
//! A number depends on its place and not on what was drawn before it, so a resumed run continues its streams,
//! and a row draws the same numbers in any batch.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The purpose of random numbers; each purpose has streams of its own.
///
/// The values must never change, because a resumed run would draw other numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Weights of a new model or head.
    Initialization = 1,
    /// Text for next-token training.
    Data = 2,
    /// The choice of queries.
    Queries = 3,
    /// Tokens of responses.
    Sampling = 4,
    /// The order of rows in an epoch.
    Shuffle = 5,
    /// Choices of a simulated labeler, and the order in which responses are shown.
    Labels = 6,
    /// Queries and responses that a policy is judged by.
    Evaluation = 7,
    /// Queries and responses that the reward model is normalized on.
    Normalization = 8,
}

/// Makes the generator of one place: ChaCha8 with the four arguments as its key.
pub fn generator(seed: u64, stream: Stream, step: u64, row: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, stream as u64, step, row]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// Draws `count` numbers in [0, 1) from the generator of one place.
pub fn uniform(seed: u64, stream: Stream, step: u64, row: u64, count: usize) -> Vec<f32> {
    let mut rng = generator(seed, stream, step, row);
    // 24 bits: all that an f32 below 1 can hold.
    (0..count).map(|_| (rng.next_u32() >> 8) as f32 / 16_777_216.0).collect()
}

/// Draws a number below `bound`; 0 if `bound` is 0.
pub fn below(bound: usize, rng: &mut impl Rng) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// Returns the numbers 0 to `count` − 1 in random order.
pub fn shuffled(count: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, below(last + 1, rng));
    }
    order
}

/// Draws `count` different numbers below `population`, in random order; all of them if there are fewer.
pub fn sample_indices(population: usize, count: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut order = shuffled(population, rng);
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of a ChaCha8 written for this test from RFC 8439 with 8 rounds.
    #[test]
    fn streams_never_change_silently() {
        let mut sampling = generator(1, Stream::Sampling, 2, 3);
        assert_eq!(sampling.next_u64(), 0x2c27_e7d7_eafc_363e);
        assert_eq!(sampling.next_u64(), 0xb995_74b8_8d55_3c3f);
        let mut largest = generator(u64::MAX, Stream::Initialization, 0, 1 << 40);
        assert_eq!(largest.next_u64(), 0x48b8_52a6_942e_029c);
        assert_eq!(uniform(1, Stream::Sampling, 2, 3, 2), [0.917_910_93, 0.172_483_86]);
        assert_eq!(shuffled(8, &mut generator(1, Stream::Shuffle, 0, 0)), [3, 0, 6, 4, 1, 2, 5, 7]);
    }

    #[test]
    fn each_place_has_a_stream_of_its_own() {
        let first = |seed, stream, step, row| generator(seed, stream, step, row).next_u64();
        let numbers = [
            first(1, Stream::Data, 1, 1),
            first(2, Stream::Data, 1, 1),
            first(1, Stream::Labels, 1, 1),
            first(1, Stream::Data, 2, 1),
            first(1, Stream::Data, 1, 2),
        ];
        assert_eq!(std::collections::HashSet::from(numbers).len(), numbers.len());
    }

    #[test]
    fn uniform_numbers_stay_below_one_and_average_a_half() {
        let numbers = uniform(7, Stream::Data, 0, 0, 100_000);
        assert!(numbers.iter().all(|&n| (0.0..1.0).contains(&n)));
        let mean = numbers.iter().map(|&n| f64::from(n)).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
    }

    #[test]
    fn a_shuffle_keeps_every_number() {
        let mut order = shuffled(100, &mut generator(1, Stream::Shuffle, 0, 0));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        assert!(shuffled(0, &mut generator(1, Stream::Shuffle, 0, 0)).is_empty());
    }

    #[test]
    fn every_order_is_equally_likely() {
        let mut counts = std::collections::HashMap::new();
        for row in 0..6_000 {
            *counts.entry(shuffled(3, &mut generator(1, Stream::Shuffle, 0, row))).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // 1,000 each, with a standard deviation of 29.
        assert!(counts.values().all(|count| (880..1_120).contains(count)), "{counts:?}");
    }

    #[test]
    fn sampled_indices_differ() {
        let mut sampled = sample_indices(10, 4, &mut generator(1, Stream::Queries, 0, 0));
        sampled.sort_unstable();
        sampled.dedup();
        assert_eq!(sampled.len(), 4);
        assert_eq!(sample_indices(3, 4, &mut generator(1, Stream::Queries, 0, 0)).len(), 3);
    }
}
