//! `preftune doctor`: the devices of this machine, and a check of the one in use.

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::device::{Adapter, adapters, auto_choice};
use crate::error::{Error, Result};
use crate::lm::{Agreement, check_cached_decoding};
use crate::platform::Progress;

/// List the devices, say which one `auto` takes, and check the one in use
///
/// The check compares cached decoding (with a key-value cache) with uncached decoding on a small model, because a known
/// fault of GPU drivers and kernels makes them differ.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune doctor
  preftune doctor --device wgpu --json")]
pub(super) struct Arguments {}

#[derive(Serialize)]
struct Outcome {
    version: &'static str,
    adapters: Vec<Adapter>,
    auto: String,
    device: String,
    reason: String,
    largest_difference: f64,
    agrees: bool,
}

pub(super) fn run(_arguments: Arguments, common: &Common) -> Result<()> {
    let adapters = adapters();
    let opened = common.open_device()?;
    let mut progress = Progress::new("checking cached decoding", 1, "devices", common.progress());
    let Agreement { largest_difference, agrees } = check_cached_decoding(&opened.device)?;
    progress.advance(1);
    progress.finish();
    let list = |adapter: &Adapter| {
        format!(
            "  {} ({}, {}, {}): buffers up to {} MiB{}",
            adapter.name,
            adapter.graphics_api,
            adapter.kind,
            adapter.driver,
            adapter.max_buffer_bytes >> 20,
            if adapter.software { "; computes on the CPU, never taken by auto" } else { "" }
        )
    };
    let auto = auto_choice(&adapters);
    let found = match adapters.is_empty() {
        true => "  none".to_string(),
        false => adapters.iter().map(list).collect::<Vec<_>>().join("\n"),
    };
    let text = format!(
        "preftune {}\ngraphics adapters:\n{found}\nauto takes: {auto}\ndevice in use: {}{}\ncached decoding: {} (largest difference {:.1e})",
        env!("CARGO_PKG_VERSION"),
        opened.name,
        if opened.reason.is_empty() { String::new() } else { format!(" ({})", opened.reason) },
        if agrees { "agrees with uncached" } else { "WRONG" },
        largest_difference,
    );
    let outcome = Outcome {
        version: env!("CARGO_PKG_VERSION"),
        adapters,
        auto,
        device: opened.name,
        reason: opened.reason,
        largest_difference,
        agrees,
    };
    common.print(&outcome, &text)?;
    match agrees {
        true => Ok(()),
        false => Err(Error::device(
            "this device computes cached decoding wrongly",
            "update its driver, or use `--device flex`",
        )),
    }
}
