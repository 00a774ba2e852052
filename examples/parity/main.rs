//! Computes the values of a fixture, for comparison with an independent implementation of the original
//! algorithm, and prints them as JSON:
//!
//! ```text
//! cargo run --release --example parity -- tests/fixtures/parity/1 --device ndarray
//! ```

mod answers;
mod fixture;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use preftune::device;
use preftune::device::DeviceRequest;

use fixture::Fixture;

#[derive(Parser)]
struct Arguments {
    /// Folder with input.json, heads.safetensors, expected.safetensors and policy/
    folder: PathBuf,
    #[arg(long, default_value = "auto")]
    device: DeviceRequest,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(json) => {
            println!("{json:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> preftune::Result<serde_json::Value> {
    let opened = device::open(arguments.device)?;
    eprintln!("device: {}", opened.name);
    answers::all(&Fixture::read(&arguments.folder)?, &opened.device)
}
