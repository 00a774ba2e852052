//! Judging tuned models: how often each is preferred to others, and how sure that number is.
//!
//! [`Tournament`] lets contestants continue the same queries, and shows a labeler two of them at a time, blind;
//! [`crate::statistics`] turns the verdicts into rates with intervals.

mod contest;
mod memory;
mod pair_lines;
mod win_rate;

pub use crate::statistics::Interval;
pub use contest::{Contest, Contestant, Match, Standing, Tournament, TournamentResult, matches};
pub use memory::queries_that_fit;
pub use pair_lines::pair_lines;
pub use win_rate::{JudgedPair, Outcome, Pair, WinRate, judge_pairs};
