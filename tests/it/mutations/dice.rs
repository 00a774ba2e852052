//! Choices that are the same each time.

use preftune::random::{Stream, below, generator};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// The random numbers of one mutant.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Those of a mutant by its number in a test.
    pub fn new(test: &str, number: u64) -> Self {
        let seed = test.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Self(generator(seed, Stream::Data, 0, number))
    }

    /// A number below `bound`, or 0 where there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        below(bound, &mut self.0)
    }

    /// Happens once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn byte(&mut self) -> u8 {
        self.0.next_u32() as u8
    }

    pub fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// A range within `0..length`, usually a short one.
    pub fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = [4, 16, 64, length][self.below(4)];
        start..(start + self.below(longest + 1)).min(length)
    }
}
