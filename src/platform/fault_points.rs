//! The instants between two changes on the disk, where tests end the program as a crash would.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::progress::write_line;

/// Set to K, the program aborts at the K-th instant that it comes to. Without it, nothing happens there.
const VARIABLE: &str = "PREFTUNE_ABORT_AT_FAULT_POINT";

/// Comes to an instant between two changes on the disk. What is there now must be enough to go on from.
pub fn fault_point(name: &str) {
    static WANTED: OnceLock<Option<u64>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Some(wanted) = *WANTED.get_or_init(|| std::env::var(VARIABLE).ok()?.parse().ok()) else { return };
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 == wanted {
        write_line(&format!("aborted at fault point {wanted}: {name}"));
        std::process::abort();
    }
}
