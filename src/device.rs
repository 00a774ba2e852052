//! Which backend runs, what it can hold, and the one place that reads tensors back.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::kind::Transaction as Readable;
use burn::tensor::{Device, Tensor, TensorData, Transaction};
use sysinfo::{MemoryRefreshKind, System};

use crate::error::{Error, Result};

/// What `--device` asks for: a backend and, after a colon, the number of the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRequest {
    pub backend: Backend,
    pub adapter: Option<usize>,
}

/// A backend by the name `--device` knows it under.
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
                    "use one of {}, with :N for the N-th adapter; `preftune doctor` lists what is here",
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

/// A device that was opened, and how to speak of it.
#[derive(Debug, Clone)]
pub struct Opened {
    pub device: Device,
    /// Such as `flex` or `wgpu (NVIDIA GeForce RTX 3060, Vulkan)`.
    pub name: String,
    /// Why `auto` took it; empty for an explicit request.
    pub reason: String,
    pub room: Room,
}

/// What a device can hold, in bytes, as far as it says.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Memory that is free; a GPU does not say.
    pub free: Option<u64>,
    /// The largest single buffer; a CPU has no such limit.
    pub buffer: Option<u64>,
}

impl Room {
    /// The memory of this machine, or of the container that this runs in.
    fn on_host() -> Self {
        let free = System::new().ok().map(|mut system| {
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            // Not its "free" memory: that counts cached files as taken.
            let limits = system.cgroup_limits();
            let of_container = limits.map(|limits| limits.total_memory.saturating_sub(limits.rss));
            system.available_memory().min(of_container.unwrap_or(u64::MAX))
        });
        Self { free, buffer: None }
    }
}

/// Opens what was asked for. Only `auto` chooses; an explicit request never falls back.
///
/// # Errors
/// [`Error::Device`] with what was found.
pub fn open(request: DeviceRequest) -> Result<Opened> {
    if request.adapter.is_some() && matches!(request.backend, Backend::Auto | Backend::Flex | Backend::NdArray) {
        return Err(Error::device(
            format!("\"{request}\" takes a number, but only graphics adapters have one"),
            "for example --device wgpu:1; `preftune doctor` lists the adapters",
        ));
    }
    match request.backend {
        Backend::Auto => open_auto(),
        Backend::Flex => opened_on_host("flex", flex(), ""),
        Backend::NdArray => opened_on_host("ndarray", ndarray(), ""),
        backend => gpu::open(backend, request.adapter),
    }
}

fn open_auto() -> Result<Opened> {
    match gpu::first_real() {
        Some(opened) => Ok(opened),
        None => opened_on_host("flex", flex(), "no real GPU answered"),
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

fn opened_on_host(name: &str, device: Result<Device>, reason: &str) -> Result<Opened> {
    Ok(Opened { device: device?, name: name.into(), reason: reason.into(), room: Room::on_host() })
}

#[cfg(not(all(feature = "flex", feature = "ndarray", feature = "wgpu")))]
fn not_built(feature: &str) -> Error {
    Error::device(format!("this program was built without {feature}"), format!("build it with `--features {feature}`"))
}

/// The CPU: where tensors can be made that nothing is computed with yet.
pub fn host() -> Device {
    [flex(), ndarray()].into_iter().flatten().next().unwrap_or_default()
}

/// A graphics adapter, as `doctor` lists it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Adapter {
    pub name: String,
    /// Vulkan, Metal, Dx12, Gl.
    pub graphics_api: String,
    /// discrete GPU, integrated GPU, virtual GPU, software or other.
    pub kind: String,
    pub driver: String,
    /// Whether it computes on a CPU.
    pub software: bool,
    /// The largest single buffer a kernel can read, in bytes.
    pub max_buffer_bytes: u64,
}

/// The graphics adapters of this machine.
pub fn adapters() -> Vec<Adapter> {
    gpu::adapters()
}

/// What `auto` takes on a machine with these adapters.
pub fn auto_choice(adapters: &[Adapter]) -> String {
    match adapters.iter().find(|adapter| !adapter.software) {
        Some(adapter) => format!("wgpu ({}, {})", adapter.name, adapter.graphics_api),
        None => "flex".into(),
    }
}

#[cfg(feature = "wgpu")]
mod gpu {
    use burn::tensor::wgpu::{WgpuBackend, wgpu};
    use burn::tensor::{Device, DeviceKind};

    use super::{Adapter, Backend, Opened, Room};
    use crate::error::{Error, Result};

    const KINDS: [(wgpu::DeviceType, &str); 5] = [
        (wgpu::DeviceType::DiscreteGpu, "discrete GPU"),
        (wgpu::DeviceType::IntegratedGpu, "integrated GPU"),
        (wgpu::DeviceType::VirtualGpu, "virtual GPU"),
        (wgpu::DeviceType::Cpu, "software"),
        (wgpu::DeviceType::Other, "other"),
    ];

    fn found(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        pollster::block_on(instance.enumerate_adapters(backends))
    }

    fn describe(adapter: &wgpu::Adapter) -> Adapter {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let kind = KINDS.iter().find(|(kind, _)| *kind == info.device_type).map_or("other", |(_, name)| name);
        Adapter {
            name: info.name.clone(),
            graphics_api: format!("{:?}", info.backend),
            kind: kind.into(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
            software: info.device_type == wgpu::DeviceType::Cpu,
            max_buffer_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        }
    }

    pub(super) fn adapters() -> Vec<Adapter> {
        found(wgpu::Backends::PRIMARY).iter().map(describe).collect()
    }

    /// The adapters of one API, each with the selector that reaches it.
    fn selectable(backend: Backend) -> Vec<(Adapter, DeviceKind)> {
        let backends = match backend {
            Backend::Vulkan => wgpu::Backends::VULKAN,
            Backend::Metal => wgpu::Backends::METAL,
            Backend::Dx12 => wgpu::Backends::DX12,
            _ => wgpu::Backends::PRIMARY,
        };
        let mut counts = [0usize; 3];
        let mut next = |slot: usize| counts.get_mut(slot).map_or(0, |count| std::mem::replace(count, *count + 1));
        let select = |adapter: &wgpu::Adapter| {
            let kind = match adapter.get_info().device_type {
                wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(next(0)),
                wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(next(1)),
                wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(next(2)),
                wgpu::DeviceType::Cpu => DeviceKind::Cpu,
                wgpu::DeviceType::Other => DeviceKind::DefaultDevice,
            };
            (describe(adapter), kind)
        };
        found(backends).iter().map(select).collect()
    }

    pub(super) fn open(backend: Backend, number: Option<usize>) -> Result<Opened> {
        let all = selectable(backend);
        let wanted = match number {
            Some(number) => all.get(number),
            None => all.iter().find(|(adapter, _)| !adapter.software).or(all.first()),
        };
        match wanted {
            Some((adapter, kind)) => initialize(backend, adapter, kind.clone(), ""),
            None => Err(Error::device(
                match number {
                    Some(number) => format!("no adapter number {number}: {} found", all.len()),
                    None => "no graphics adapter found".to_string(),
                },
                "`preftune doctor` lists what is here; `--device flex` runs on the CPU; on Linux a Vulkan driver \
                 comes with the package mesa-vulkan-drivers or the GPU vendor's own",
            )),
        }
    }

    pub(super) fn first_real() -> Option<Opened> {
        let (adapter, kind) = selectable(Backend::Wgpu).into_iter().find(|(adapter, _)| !adapter.software)?;
        initialize(Backend::Wgpu, &adapter, kind, "the first GPU that answered").ok()
    }

    fn initialize(backend: Backend, adapter: &Adapter, kind: DeviceKind, reason: &str) -> Result<Opened> {
        let api = match backend {
            Backend::Vulkan => WgpuBackend::Vulkan,
            Backend::Metal => WgpuBackend::Metal,
            Backend::Dx12 => WgpuBackend::Dx12,
            _ => WgpuBackend::Auto,
        };
        let device = Device::wgpu_options().device_kind(kind.clone()).graphics_api(api).init();
        let device = match device {
            Ok(device) => device,
            // A second opening in one process: the runtime is there already.
            Err(error) if error.to_string().contains("already") => Device::wgpu(kind),
            Err(error) => {
                return Err(Error::device(
                    format!("{} could not be opened: {error}", adapter.name),
                    "update its driver, or use `--device flex`",
                ));
            }
        };
        let free = if adapter.software { Room::on_host().free } else { None };
        Ok(Opened {
            device,
            name: format!("wgpu ({}, {})", adapter.name, adapter.graphics_api),
            reason: reason.into(),
            room: Room { free, buffer: Some(adapter.max_buffer_bytes) },
        })
    }
}

#[cfg(not(feature = "wgpu"))]
mod gpu {
    use super::{Adapter, Backend, Opened, not_built};
    use crate::error::Result;

    pub(super) fn adapters() -> Vec<Adapter> {
        Vec::new()
    }

    pub(super) fn open(_backend: Backend, _number: Option<usize>) -> Result<Opened> {
        Err(not_built("wgpu"))
    }

    pub(super) fn first_real() -> Option<Opened> {
        None
    }
}

static READBACKS: AtomicU64 = AtomicU64::new(0);

/// How often this process has read from a device: each read makes a GPU wait.
pub fn readback_count() -> u64 {
    READBACKS.load(Ordering::Relaxed)
}

/// Tensors to be read from a device in one go.
#[derive(Default)]
pub struct Readback {
    transaction: Transaction,
}

impl Readback {
    /// Adds a tensor; results come in the order of adding.
    #[must_use]
    pub fn with<const D: usize, K: Readable>(self, tensor: Tensor<D, K>) -> Self {
        Self { transaction: self.transaction.register(tensor) }
    }

    /// Waits for the device and returns each tensor's elements in row-major order.
    ///
    /// # Errors
    /// [`Error::Device`] when the device was lost or ran out of memory.
    pub fn floats(self) -> Result<Vec<Vec<f32>>> {
        self.read()?.into_iter().map(|data| convert(data.convert::<f32>().try_into_vec::<f32>())).collect()
    }

    /// The same for token ids.
    ///
    /// # Errors
    /// As [`Self::floats`].
    pub fn ids(self) -> Result<Vec<Vec<i64>>> {
        self.read()?.into_iter().map(|data| convert(data.convert::<i64>().try_into_vec::<i64>())).collect()
    }

    fn read(self) -> Result<Vec<TensorData>> {
        READBACKS.fetch_add(1, Ordering::Relaxed);
        pollster::block_on(self.transaction.execute_async()).map_err(|error| {
            Error::device(
                format!("the device failed: {error:?}"),
                "run the same command again: it goes on from the last checkpoint; with less memory, \
                 lower policy.batch_size or task.query_length_tokens",
            )
        })
    }
}

/// Reads one tensor of floats.
///
/// # Errors
/// As [`Readback::floats`].
pub fn read_floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    Ok(Readback::default().with(tensor).floats()?.pop().unwrap_or_default())
}

fn convert<T>(read: std::result::Result<Vec<T>, impl fmt::Debug>) -> Result<Vec<T>> {
    read.map_err(|error| Error::device(format!("the device returned unreadable data: {error:?}"), "report this"))
}

/// Whether `device` computes on the CPU, with a backend that is made for that.
pub fn is_cpu(device: &Device) -> bool {
    let device = device.clone().without_autodiff();
    [flex(), ndarray()].into_iter().flatten().any(|cpu| cpu == device)
}
