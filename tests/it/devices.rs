//! The devices that tests run on.

use std::io::Write;
use std::sync::OnceLock;

use burn::tensor::Device;
use preftune::device;

pub fn ndarray() -> Device {
    open("ndarray")
}

pub fn flex() -> Device {
    open("flex")
}

/// A graphics adapter, a software one if there is no other; None where none is found, which is a
/// failure under `PREFTUNE_REQUIRE_WGPU`.
pub fn wgpu() -> Option<Device> {
    static FOUND: OnceLock<Option<Device>> = OnceLock::new();
    let found = FOUND.get_or_init(|| match device::open("wgpu".parse().unwrap()) {
        Ok(opened) => Some(opened.device),
        Err(error) if !device::adapters().is_empty() || std::env::var_os("PREFTUNE_REQUIRE_WGPU").is_some() => {
            panic!("{error}; {}", error.hint())
        }
        Err(error) => {
            // Not `eprintln!`, which the test harness keeps to itself when a test passes.
            let mut stderr = std::io::stderr();
            writeln!(stderr, "skipped on wgpu: {error}").unwrap();
            None
        }
    });
    found.clone()
}

fn open(name: &str) -> Device {
    device::open(name.parse().unwrap()).unwrap().device
}
