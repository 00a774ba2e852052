//! Parse, run, exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Training allocates and frees large buffers all the time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    preftune::cli::main()
}
