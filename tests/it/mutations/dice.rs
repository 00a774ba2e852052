//! Random choices that are the same in every run.

use preftune::random::{Stream, below, generator};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Random numbers of one mutant.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Returns the random numbers of a mutant, by its number in a test.
    pub fn new(test: &str, number: u64) -> Self {
        let seed = test.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Self(generator(seed, Stream::Data, 0, number))
    }

    /// Returns a number below `bound`, or 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        below(bound, &mut self.0)
    }

    /// Returns true once in `times` calls on average.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn byte(&mut self) -> u8 {
        self.0.next_u32() as u8
    }

    pub fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// Returns a range within `0..length`, usually a short one.
    pub fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = [4, 16, 64, length][self.below(4)];
        start..(start + self.below(longest + 1)).min(length)
    }
}
