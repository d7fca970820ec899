//! Devices: those that this build supports and this machine has.

mod choice;
mod find;
mod guard;
mod memory;
mod peak_rates;

pub(crate) use choice::DeviceChoice;
pub(crate) use find::Found;
pub(crate) use guard::{guarded, panic_error, panic_message};
pub(crate) use memory::free_main_memory;
pub(crate) use peak_rates::peak_rates;

use crate::Error;
use find::KINDS;
use std::fmt;
use std::str::FromStr;

/// The device that a model runs on. Every kind except [`Auto`](Self::Auto) needs a cargo feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The first available device, in this order, that supports the number format and has memory for the weights: CUDA,
    /// Metal, Vulkan, WebGPU, wgpu, Flex, ndarray, CubeCL's CPU. Software renderers are never selected.
    /// [`SmolVlm::skipped_devices`](crate::SmolVlm::skipped_devices) returns why better devices were skipped.
    #[default]
    Auto,
    /// Burn's pure Rust CPU backend with this project's kernels (feature `flex`).
    Flex,
    /// Burn's older CPU backend, f32 only (feature `ndarray`).
    NdArray,
    /// An NVIDIA GPU by number (feature `cuda`).
    Cuda(usize),
    /// A Vulkan device by number (feature `vulkan`).
    Vulkan(usize),
    /// A Metal device by number (feature `metal`).
    Metal(usize),
    /// A WebGPU device by number (feature `webgpu`).
    WebGpu(usize),
    /// A GPU by number, through whichever graphics API is available (feature `wgpu`).
    Wgpu(usize),
    /// CubeCL's CPU backend (feature `cubecl-cpu`).
    CubeCpu,
}

/// The values that [`Device::from_str`] accepts.
const LEGAL: &str =
    "auto, cpu, flex, ndarray, cubecl-cpu, or cuda, vulkan, metal, webgpu or wgpu, alone or numbered as in cuda:1";

impl FromStr for Device {
    type Err = Error;

    /// Parses a device name. `cpu` is Flex. A number after a colon selects one of several devices of a kind; the first
    /// is 0.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Option { option: "device", value: text.into(), legal: LEGAL };
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => (kind, Some(index.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        match (kind, index) {
            ("auto", None) => Ok(Self::Auto),
            ("flex" | "cpu", None) => Ok(Self::Flex),
            ("ndarray", None) => Ok(Self::NdArray),
            ("cubecl-cpu", None) => Ok(Self::CubeCpu),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            ("vulkan", index) => Ok(Self::Vulkan(index.unwrap_or(0))),
            ("metal", index) => Ok(Self::Metal(index.unwrap_or(0))),
            ("webgpu", index) => Ok(Self::WebGpu(index.unwrap_or(0))),
            ("wgpu", index) => Ok(Self::Wgpu(index.unwrap_or(0))),
            _ => Err(wrong()),
        }
    }
}

/// The form that [`Device::from_str`] parses.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Flex => f.write_str("flex"),
            Self::NdArray => f.write_str("ndarray"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Vulkan(index) => write!(f, "vulkan:{index}"),
            Self::Metal(index) => write!(f, "metal:{index}"),
            Self::WebGpu(index) => write!(f, "webgpu:{index}"),
            Self::Wgpu(index) => write!(f, "wgpu:{index}"),
            Self::CubeCpu => f.write_str("cubecl-cpu"),
        }
    }
}

/// A device that this build can use on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The value that selects it.
    pub device: Device,
    /// Its name, as reported by the driver.
    pub name: String,
    /// Whether it computes on the CPU rather than on a GPU.
    pub software: bool,
    /// Total memory in bytes, if reported.
    pub memory: Option<u64>,
    /// Free memory in bytes at the time of the query, if reported: by CPUs and NVIDIA GPUs.
    pub free: Option<u64>,
}

/// All available devices whose driver works, in the order in which [`Device::Auto`] prefers them.
pub fn devices() -> Vec<DeviceInfo> {
    KINDS.iter().flat_map(|kind| kind.devices().unwrap_or_default()).map(|found| found.info).collect()
}

impl Device {
    /// Whether it is a CPU backend, which uses main memory.
    pub fn is_cpu(self) -> bool {
        matches!(self, Self::Flex | Self::NdArray | Self::CubeCpu)
    }
}

impl DeviceInfo {
    /// Whether [`Device::Auto`] may select this device: it takes the first of [`devices`] that it may and that has
    /// memory for the weights.
    pub fn suits_auto(&self) -> bool {
        self.device.is_cpu() || !self.software
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn displayed_devices_parse_back() {
        let all = [
            Device::Auto,
            Device::Flex,
            Device::NdArray,
            Device::Cuda(3),
            Device::Vulkan(0),
            Device::Metal(1),
            Device::WebGpu(0),
            Device::Wgpu(12),
            Device::CubeCpu,
        ];
        for device in all {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda".parse::<Device>().unwrap(), Device::Cuda(0));
        assert_eq!("cpu".parse::<Device>().unwrap(), Device::Flex);
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "flex:0", "auto:1"] {
            let error = wrong.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains("cuda:1"), "{error}");
        }
    }
}
