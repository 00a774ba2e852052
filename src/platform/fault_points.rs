//! Points between two changes on the disk at which tests abort the program, as a crash would.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::progress::write_line;

/// Environment variable with the number K of the fault point at which the program aborts; without it, fault
/// points do nothing.
const VARIABLE: &str = "PREFTUNE_ABORT_AT_FAULT_POINT";

/// Marks a point between two changes on the disk. A run must be able to resume after a crash at this point.
pub(crate) fn fault_point(name: &str) {
    static WANTED: OnceLock<Option<u64>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Some(wanted) = *WANTED.get_or_init(|| std::env::var(VARIABLE).ok()?.parse().ok()) else { return };
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 == wanted {
        write_line(&format!("aborted at fault point {wanted}: {name}"));
        std::process::abort();
    }
}
