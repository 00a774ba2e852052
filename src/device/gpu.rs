//! Graphics adapters: finding and opening them.

use burn::tensor::{Device, DeviceKind};
use burn_cubecl::cubecl::environment;
use burn_wgpu::{WgpuBackend, wgpu};

use super::{Adapter, Backend, DeviceMemory, OpenDevice};
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

/// Lists the adapters of one graphics API, each with the selector that opens it.
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

pub(super) fn open(backend: Backend, number: Option<usize>) -> Result<OpenDevice> {
    let all = selectable(backend);
    let wanted = match number {
        Some(number) => all.get(number),
        None => all.iter().find(|(adapter, _)| !adapter.software).or(all.first()),
    };
    match wanted {
        Some((adapter, kind)) => initialize(backend, adapter, kind.clone(), ""),
        None => Err(Error::device(
            match number {
                Some(number) => format!("no graphics adapter has number {number}: {} found, counted from 0", all.len()),
                None => "no graphics adapter found".to_string(),
            },
            "`preftune doctor` lists what is here; `--device flex` runs on the CPU; on Linux a Vulkan driver \
             comes with the package mesa-vulkan-drivers or the GPU vendor's own",
        )),
    }
}

pub(super) fn first_real() -> Option<OpenDevice> {
    let (adapter, kind) = selectable(Backend::Wgpu).into_iter().find(|(adapter, _)| !adapter.software)?;
    initialize(Backend::Wgpu, &adapter, kind, "the first GPU that was found").ok()
}

fn initialize(backend: Backend, adapter: &Adapter, kind: DeviceKind, reason: &str) -> Result<OpenDevice> {
    let api = match backend {
        Backend::Vulkan => WgpuBackend::Vulkan,
        Backend::Metal => WgpuBackend::Metal,
        Backend::Dx12 => WgpuBackend::Dx12,
        _ => WgpuBackend::Auto,
    };
    // Checked before the device is opened, which may create the store.
    let new_kernel_store = Some(environment::path()).filter(|store| !store.exists());
    let device = Device::wgpu_options().device_kind(kind.clone()).graphics_api(api).init();
    let device = match device {
        Ok(device) => device,
        // A second opening in one process: the runtime exists already.
        Err(error) if error.to_string().contains("already") => Device::wgpu(kind),
        Err(error) => {
            return Err(Error::device(
                format!("{} could not be opened: {error}", adapter.name),
                "update its driver, or use `--device flex`",
            ));
        }
    };
    let of_host = if adapter.software { DeviceMemory::on_host() } else { DeviceMemory::default() };
    Ok(OpenDevice {
        device,
        name: format!("wgpu ({}, {})", adapter.name, adapter.graphics_api),
        reason: reason.into(),
        device_memory: DeviceMemory { buffer: Some(adapter.max_buffer_bytes), ..of_host },
        new_kernel_store,
    })
}
