//! Services of the operating system: files, the clock, the terminal, signals, other programs.

#[cfg_attr(not(feature = "cli"), path = "no_bar.rs")]
mod bar;
pub(crate) mod disk_space;
pub(crate) mod external_command;
mod fault_points;
pub mod files;
pub(crate) mod foreign;
pub(crate) mod interrupt;
pub(crate) mod leftovers;
mod output_file;
pub(crate) mod process_limits;
pub(crate) mod progress;
#[cfg(feature = "cli")]
pub(crate) mod signals;

pub use external_command::ExternalCommand;
pub(crate) use fault_points::fault_point;
pub use interrupt::Interrupt;
pub use output_file::{OutputFile, check_file};
pub(crate) use output_file::{check_folder_of, followed};
pub use progress::{Mode, Progress};

/// Returns the seconds since 1970-01-01 UTC; `None` if the clock is set to an earlier time.
pub fn unix_seconds() -> Option<u64> {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
