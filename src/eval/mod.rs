//! Judging a tuned model: how often it is preferred, and how sure that number is.
//!
//! [`win_rate`] shows a labeler one response of the tuned model and one of the model
//! before tuning, blind; [`crate::statistics`] turns the verdicts into a rate with an interval.

mod contest;
mod win_rate;

pub use crate::statistics::Interval;
pub use contest::{Contest, Judging, Scores};
pub use win_rate::{JudgedPair, Outcome, Pair, WinRate, judge_pairs};
