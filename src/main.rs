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
const PURGE_DELAY_OPTION: c_int = 15;

const PURGE_DELAY_MILLISECONDS: c_long = 10_000;

fn main() -> ExitCode {
    // Freed pages are kept for ten seconds for the next buffers, because the system clears every new page
    // (examples/results/smollm2-135m.md, "Memory"). The call is sound: this is the only thread, and mimalloc only
    // stores a number and ignores an unknown option.
    unsafe { mi_option_set(PURGE_DELAY_OPTION, PURGE_DELAY_MILLISECONDS) };
    preftune::cli::main()
}
