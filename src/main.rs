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

const MILLISECONDS: c_long = 10_000;

fn main() -> ExitCode {
    // Freed pages are kept for ten seconds for the next buffers, because the system clears every new page. With one
    // second, an update of GPT-2 124M asked for 15 times as many new pages; without a limit, training SmolLM2-135M took
    // a fifth more memory. The call is sound: this is the only thread, and mimalloc only stores a number and ignores
    // an unknown option.
    unsafe { mi_option_set(PURGE_DELAY, MILLISECONDS) };
    preftune::cli::main()
}
