//! The program's entry point.

use std::ffi::{c_int, c_long};
use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The allocator, chosen because training allocates and frees large buffers all the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

unsafe extern "C" {
    /// Sets an option of mimalloc, with which the allocator above is linked.
    fn mi_option_set(option: c_int, value: c_long);
}

/// `mi_option_purge_delay` of `mimalloc.h`.
const PURGE_DELAY: c_int = 15;

const MILLISECONDS: c_long = 1000;

fn main() -> ExitCode {
    // Freed pages are kept for a second for the next buffers: clearing new pages took a tenth of an update's
    // time. The call is sound: this is the only thread, and mimalloc only stores a number and ignores an
    // unknown option.
    unsafe { mi_option_set(PURGE_DELAY, MILLISECONDS) };
    preftune::cli::main()
}
