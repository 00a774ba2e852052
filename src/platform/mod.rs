//! What the operating system gives a program: files, the clock, a terminal, signals, other programs. A browser
//! would do these differently, and nothing else.

pub mod disk_space;
pub mod external_command;
mod fault_points;
pub mod files;
pub mod foreign;
pub mod interrupt;
pub mod leftovers;
mod output_file;
pub mod process_limits;
pub mod progress;

pub(crate) use fault_points::fault_point;
pub use interrupt::Interrupt;
pub use output_file::{OutputFile, check_file};
pub(crate) use output_file::{check_folder_of, followed};
pub use progress::{Mode, Progress};

/// Seconds since 1970-01-01 UTC; `None` on a clock that is set before.
pub fn unix_seconds() -> Option<u64> {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
