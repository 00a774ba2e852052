//! Parse, run, exit code.

use std::ffi::{c_int, c_long};
use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Training allocates and frees large buffers all the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

unsafe extern "C" {
    /// Of mimalloc, which the allocator above is linked with.
    fn mi_option_set(option: c_int, value: c_long);
}

/// `mi_option_purge_delay` of `mimalloc.h`.
const PURGE_DELAY: c_int = 15;

const MILLISECONDS: c_long = 1000;

fn main() -> ExitCode {
    // Freed pages stay for the next buffers for a second: clearing fresh ones took a tenth of an update's
    // time. Sound from the one thread there is: it stores a number, and ignores an unknown option.
    unsafe { mi_option_set(PURGE_DELAY, MILLISECONDS) };
    preftune::cli::main()
}
