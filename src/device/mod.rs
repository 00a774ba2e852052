//! The choice of a backend, its memory, and the one place that reads tensors back.

#[cfg(feature = "wgpu")]
mod gpu;
pub(crate) mod parallel;
mod readback;
mod requests;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use burn::tensor::Device;
use sysinfo::{MemoryRefreshKind, System};

use crate::error::{Error, Result};
use crate::platform::process_limits::address_space_left;

pub use readback::{Readback, read_floats};
pub use requests::{Requests, count_requests};

/// The value of `--device`: a backend and, after a colon, the number of the graphics adapter, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRequest {
    pub backend: Backend,
    pub adapter: Option<usize>,
}

/// A backend, by its name in `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A real GPU if one answers, else [`Backend::Flex`].
    Auto,
    /// The CPU backend for users: the same as `cpu`.
    Flex,
    /// The CPU backend that the tests run on.
    NdArray,
    /// Any GPU through the platform's usual graphics API, a software rasteriser if asked for.
    Wgpu,
    Vulkan,
    Metal,
    Dx12,
}

const NAMES: [(&str, Backend); 8] = [
    ("auto", Backend::Auto),
    ("cpu", Backend::Flex),
    ("flex", Backend::Flex),
    ("ndarray", Backend::NdArray),
    ("wgpu", Backend::Wgpu),
    ("vulkan", Backend::Vulkan),
    ("metal", Backend::Metal),
    ("dx12", Backend::Dx12),
];

impl FromStr for DeviceRequest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, number) = text.split_once(':').map_or((text, None), |(name, number)| (name, Some(number)));
        let unknown = || {
            let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            Error::device(
                format!("no device \"{text}\""),
                format!(
                    "use one of {}, with :N for the graphics adapter with number N, counted from 0; `preftune doctor` \
                     lists what is here",
                    known.join(", ")
                ),
            )
        };
        let (_, backend) = NAMES.iter().find(|(known, _)| *known == name).ok_or_else(unknown)?;
        let adapter = number.map(|n| n.parse().map_err(|_| unknown())).transpose()?;
        Ok(Self { backend: *backend, adapter })
    }
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().rfind(|(_, backend)| *backend == self.backend).map_or("auto", |(name, _)| name);
        match self.adapter {
            Some(number) => write!(f, "{name}:{number}"),
            None => f.write_str(name),
        }
    }
}

/// A device that was opened, with its name and memory.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    pub device: Device,
    /// Name for messages, such as `flex` or `wgpu (NVIDIA GeForce RTX 3060, Vulkan)`.
    pub name: String,
    /// Reason why `auto` chose this device; empty for an explicit request.
    pub reason: String,
    pub device_memory: DeviceMemory,
    /// Path at which the choice of the fastest kernels will be stored, on a machine where it is not stored yet.
    pub new_kernel_store: Option<PathBuf>,
}

/// The memory of a device, in bytes, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeviceMemory {
    /// Memory that may be used; `None` for a GPU, which does not report it.
    pub free: Option<u64>,
    /// True if `free` is set by a limit on the address space (`ulimit -v`), and not by the machine.
    pub is_limited: bool,
    /// Size of the largest single buffer; `None` for a CPU, which has no such limit.
    pub buffer: Option<u64>,
}

/// Address space reserved for each byte in use, under a limit (`ulimit -v`): at most three bytes, measured with
/// `train-reward`, `train-policy` and `sample` at the smallest limit at which each still succeeded.
const ADDRESS_SPACE_A_BYTE_IN_USE: u64 = 3;

/// Smallest address space to start with, in bytes. The allocator reserves so much that with less, up to 1,440 MB,
/// threads could not be started and the program ended in the middle of its work.
const LEAST_ADDRESS_SPACE: u64 = 1_800_000_000;

impl DeviceMemory {
    /// Measures the available memory of this machine, of its container, or under a limit (`ulimit -v`),
    /// whichever is least.
    fn on_host() -> Self {
        let free = System::new().ok().map(|mut system| {
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            // Not its "free" memory: that counts cached files as taken.
            let limits = system.cgroup_limits();
            let of_container = limits.map(|limits| limits.total_memory.saturating_sub(limits.rss));
            system.available_memory().min(of_container.unwrap_or(u64::MAX))
        });
        let of_limit = address_space_left().map(|left| left / ADDRESS_SPACE_A_BYTE_IN_USE);
        let is_limited = of_limit.is_some_and(|limit| free.is_none_or(|free| limit < free));
        Self { free: if is_limited { of_limit } else { free }, is_limited, buffer: None }
    }
}

/// Returns the memory of this machine, for work that needs no device.
pub fn host_memory() -> DeviceMemory {
    DeviceMemory::on_host()
}

/// Opens the requested device. Only `auto` chooses; an explicit request never falls back.
///
/// # Errors
/// [`Error::Device`] when the device cannot be opened, with what was found; [`Error::Failed`] when a limit on
/// the address space leaves less than threads and the allocator reserve.
pub fn open(request: DeviceRequest) -> Result<OpenDevice> {
    if let Some(left) = address_space_left().filter(|&left| left < LEAST_ADDRESS_SPACE) {
        let [left, least] = [left, LEAST_ADDRESS_SPACE].map(|bytes| bytes / 1_000_000);
        return Err(Error::failed(
            format!("the limit on the address space (ulimit -v) leaves {left} MB, and at least {least} are needed"),
            "raise it, or limit the memory of a control group in its place (systemd-run -p MemoryMax=…)",
        ));
    }
    if request.adapter.is_some() && matches!(request.backend, Backend::Auto | Backend::Flex | Backend::NdArray) {
        return Err(Error::device(
            format!("\"{request}\" takes a number, but only graphics adapters have one"),
            "for example --device wgpu:1; `preftune doctor` lists the graphics adapters",
        ));
    }
    match request.backend {
        Backend::Auto => open_auto(),
        Backend::Flex => opened_on_host("flex", flex(), ""),
        Backend::NdArray => opened_on_host("ndarray", ndarray(), ""),
        backend => gpu::open(backend, request.adapter),
    }
}

fn open_auto() -> Result<OpenDevice> {
    match gpu::first_real() {
        Some(opened) => Ok(opened),
        None => opened_on_host("flex", flex(), "no real GPU was found"),
    }
}

#[cfg(feature = "flex")]
fn flex() -> Result<Device> {
    Ok(Device::flex())
}

#[cfg(not(feature = "flex"))]
fn flex() -> Result<Device> {
    Err(not_built("flex"))
}

// Upstream deprecates burn-ndarray in favour of flex; it stays the backend of the test suite, an
// independent implementation to compare with, for as long as it is published.
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
fn ndarray() -> Result<Device> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device> {
    Err(not_built("ndarray"))
}

fn opened_on_host(name: &str, device: Result<Device>, reason: &str) -> Result<OpenDevice> {
    Ok(OpenDevice {
        device: device?,
        name: name.into(),
        reason: reason.into(),
        device_memory: DeviceMemory::on_host(),
        new_kernel_store: None,
    })
}

#[cfg(not(all(feature = "flex", feature = "ndarray", feature = "wgpu")))]
fn not_built(feature: &str) -> Error {
    Error::device(format!("this program was built without {feature}"), format!("build it with `--features {feature}`"))
}

/// Returns the CPU as a device, for tensors with which nothing is computed yet.
pub fn host() -> Device {
    [flex(), ndarray()].into_iter().flatten().next().unwrap_or_default()
}

/// A graphics adapter, as `doctor` lists it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Adapter {
    pub name: String,
    /// Vulkan, Metal, Dx12 or Gl.
    pub graphics_api: String,
    /// discrete GPU, integrated GPU, virtual GPU, software or other.
    pub kind: String,
    pub driver: String,
    /// True if the adapter computes on a CPU.
    pub software: bool,
    /// The largest single buffer a kernel can read, in bytes.
    pub max_buffer_bytes: u64,
}

/// Lists the graphics adapters of this machine.
pub fn adapters() -> Vec<Adapter> {
    gpu::adapters()
}

/// Names the device that `auto` chooses on a machine with these adapters.
pub fn auto_choice(adapters: &[Adapter]) -> String {
    match adapters.iter().find(|adapter| !adapter.software) {
        Some(adapter) => format!("wgpu ({}, {})", adapter.name, adapter.graphics_api),
        None => "flex".into(),
    }
}

#[cfg(not(feature = "wgpu"))]
mod gpu {
    use super::{Adapter, Backend, OpenDevice, not_built};
    use crate::error::Result;

    pub(super) fn adapters() -> Vec<Adapter> {
        Vec::new()
    }

    pub(super) fn open(_backend: Backend, _number: Option<usize>) -> Result<OpenDevice> {
        Err(not_built("wgpu"))
    }

    pub(super) fn first_real() -> Option<OpenDevice> {
        None
    }
}

/// Checks whether `device` stores tensors in bf16, which of the backends only `flex` does everywhere.
pub fn stores_bf16(device: &Device) -> bool {
    flex().is_ok_and(|flex| flex == device.clone().without_autodiff())
}

/// Checks whether `device` is a backend for CPUs, which a graphics adapter in software is not.
pub fn is_cpu(device: &Device) -> bool {
    let device = device.clone().without_autodiff();
    [flex(), ndarray()].into_iter().flatten().any(|cpu| cpu == device)
}
