//! Enumeration of the devices of this machine.

use super::{Device, DeviceInfo, guarded};
use crate::Error;
use std::mem::discriminant;

/// A device with its Burn handle.
pub(crate) struct Found {
    pub(crate) info: DeviceInfo,
    pub(crate) handle: burn::tensor::Device,
}

/// A kind of device whose backend is compiled in.
pub(super) struct Kind {
    /// Device number 0 of this kind.
    pub(super) first: Device,
    list: fn() -> Vec<Found>,
}

impl Kind {
    /// The devices of this machine, by number; an error if their driver fails. Slow for GPU APIs.
    pub(super) fn devices(&self) -> Result<Vec<Found>, Error> {
        guarded(self.first, || Ok((self.list)()))
    }
}

/// The kinds of this build, best first.
pub(super) const KINDS: &[Kind] = &[
    #[cfg(feature = "cuda")]
    Kind { first: Device::Cuda(0), list: || gpus(burn::tensor::DeviceType::Cuda, Device::Cuda) },
    #[cfg(feature = "metal")]
    Kind { first: Device::Metal(0), list: || gpus(burn::tensor::DeviceType::Metal, Device::Metal) },
    #[cfg(feature = "vulkan")]
    Kind { first: Device::Vulkan(0), list: || gpus(burn::tensor::DeviceType::Vulkan, Device::Vulkan) },
    #[cfg(feature = "webgpu")]
    Kind { first: Device::WebGpu(0), list: || gpus(burn::tensor::DeviceType::WebGpu, Device::WebGpu) },
    #[cfg(feature = "wgpu")]
    Kind { first: Device::Wgpu(0), list: || gpus(burn::tensor::DeviceType::Wgpu, Device::Wgpu) },
    #[cfg(feature = "flex")]
    Kind { first: Device::Flex, list: || cpu(Device::Flex, burn::tensor::Device::flex(), "Burn's Flex") },
    // Deprecated in favor of Flex, but still selectable.
    #[cfg(feature = "ndarray")]
    #[allow(deprecated)]
    Kind { first: Device::NdArray, list: || cpu(Device::NdArray, burn::tensor::Device::ndarray(), "ndarray") },
    #[cfg(feature = "cubecl-cpu")]
    Kind { first: Device::CubeCpu, list: || cpu(Device::CubeCpu, burn::tensor::Device::cpu(), "CubeCL") },
];

impl Device {
    /// Finds the device; an error if its backend is not compiled in or the machine has no such device.
    pub(super) fn find(self) -> Result<Found, Error> {
        let kind = KINDS.iter().find(|kind| discriminant(&kind.first) == discriminant(&self));
        let mut found = kind.ok_or(Error::NoBackend { device: self })?.devices()?;
        match found.iter().position(|found| found.info.device == self) {
            Some(position) => Ok(found.swap_remove(position)),
            None => Err(Error::NoDevice { device: self, found: found.len() }),
        }
    }
}

#[cfg(any(feature = "flex", feature = "ndarray", feature = "cubecl-cpu"))]
fn cpu(device: Device, handle: burn::tensor::Device, backend: &str) -> Vec<Found> {
    let (memory, free) = super::memory::main_memory();
    let name = format!("CPU, {backend}");
    vec![Found { info: DeviceInfo { device, name, software: true, memory, free }, handle }]
}

#[cfg(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "webgpu", feature = "wgpu"))]
fn gpus(kind: burn::tensor::DeviceType, device: fn(usize) -> Device) -> Vec<Found> {
    #[cfg(feature = "persistence")]
    smolvlm_kernels::gpu::keep_compiled_kernels();
    let found = burn::tensor::Device::enumerate(kind).into_iter().enumerate();
    let found = found.map(|(index, handle)| {
        let device = device(index);
        let identity = handle.identity();
        let name = identity.as_ref().map_or_else(|| "unnamed".to_owned(), |identity| identity.name.clone());
        // Without a physical device, it is a software renderer.
        let physical = identity.is_some_and(|identity| identity.physical.is_some());
        let software = !matches!(device, Device::Cuda(_)) && !physical;
        let (memory, free) = super::memory::of_gpu(device, &handle);
        Found { info: DeviceInfo { device, name, software, memory, free }, handle }
    });
    found.collect()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use crate::Device;

    #[test]
    fn missing_backends_and_devices_are_errors() {
        assert_eq!(Device::Flex.find().unwrap().info.device, Device::Flex);
        #[cfg(not(feature = "cuda"))]
        {
            let error = Device::Cuda(0).find().err().unwrap().to_string();
            assert!(error.contains("cuda:0") && error.contains("feature"), "{error}");
        }
        // No machine has this many devices.
        #[cfg(feature = "wgpu")]
        {
            let error = Device::Wgpu(999).find().err().unwrap().to_string();
            assert!(error.contains("wgpu:999") && error.contains("smolvlm devices"), "{error}");
        }
    }
}
