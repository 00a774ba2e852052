//! Devices that the tests run on.

use std::io::Write;
use std::sync::OnceLock;

use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use burn_cubecl::cubecl::config::autotune::{AutotuneConfig, AutotuneLevel};
#[cfg(feature = "wgpu")]
use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use preftune::device;

pub fn ndarray() -> Device {
    open("ndarray")
}

pub fn flex() -> Device {
    open("flex")
}

/// Returns the device of this backend; none for `wgpu` where there is no adapter.
pub fn of_backend(name: &str) -> Option<Device> {
    if name == "wgpu" { wgpu() } else { Some(open(name)) }
}

/// Opens a graphics adapter, or a software one if there is no other. Returns `None` if none is found, which
/// is a failure under `PREFTUNE_REQUIRE_WGPU`.
pub fn wgpu() -> Option<Device> {
    static FOUND: OnceLock<Option<Device>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        #[cfg(feature = "wgpu")]
        try_few_kernels();
        match device::open("wgpu".parse().unwrap()) {
            Ok(opened) => Some(opened.device),
            Err(error) if !device::adapters().is_empty() || std::env::var_os("PREFTUNE_REQUIRE_WGPU").is_some() => {
                panic!("{error}; {}", error.hint())
            }
            Err(error) => {
                // The test harness hides the output of `eprintln!` when a test passes.
                let mut stderr = std::io::stderr();
                writeln!(stderr, "skipped on wgpu: {error}").unwrap();
                None
            }
        }
    });
    found.clone()
}

/// Limits the search for fast kernels, which takes longer than all tests on a software driver. Its results
/// are not cached, so that the tests take the same time in every run.
#[cfg(feature = "wgpu")]
fn try_few_kernels() {
    let autotune = AutotuneConfig { level: AutotuneLevel::Minimal, disable_cache: true, ..Default::default() };
    let config = CubeClRuntimeConfig { autotune, ..Default::default() };
    assert!(CubeClRuntimeConfig::try_set(config), "a test opens a graphics adapter in another way");
}

/// Environment variables that limit the search for fast kernels in the program.
pub const TRY_FEW_KERNELS: [(&str, &str); 2] = [("CUBECL_AUTOTUNE_LEVEL", "minimal"), ("CUBECL_AUTOTUNE_CACHE", "off")];

fn open(name: &str) -> Device {
    device::open(name.parse().unwrap()).unwrap().device
}
