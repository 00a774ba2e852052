//! Judging of tuned models: how often each is preferred to others, with confidence intervals.
//!
//! [`Tournament`] lets contestants continue the same queries and shows a labeler two responses at a time, without the
//! names of the models; [`crate::statistics`] turns the verdicts into rates with confidence intervals.

mod bits_per_byte;
mod contest;
mod contestant;
mod memory;
mod pair_lines;
mod win_rate;

pub use crate::statistics::Interval;
pub use bits_per_byte::bits_per_byte;
pub use contest::{Contest, Standing, Tournament, TournamentResult};
pub use contestant::{Contestant, Lineup, Match, line_up, matches};
pub use memory::{Reader, TournamentSize, queries_that_fit};
pub use pair_lines::pair_lines;
pub use win_rate::{JudgedPair, Outcome, Pair, WinRate, judge_pairs};
