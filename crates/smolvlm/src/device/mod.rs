//! Where a model runs: what this build can use, and what this machine has of it.

mod choice;
mod find;
mod guard;
mod memory;

pub(crate) use choice::Choice;
pub(crate) use find::Found;
pub(crate) use guard::guarded;
pub(crate) use memory::free_main_memory;

use crate::Error;
use find::KINDS;
use std::fmt;
use std::str::FromStr;

/// Where a model runs. Every kind but [`Auto`](Self::Auto) needs the cargo feature of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The first of these that this build and this machine have, that computes in the number format and holds the weights:
    /// CUDA, Metal, Vulkan, WebGPU, any graphics interface, Flex, ndarray, CubeCL's CPU. Graphics interfaces that draw in
    /// software are never chosen. [`SmolVlm::passed_over`](crate::SmolVlm::passed_over) tells why it is not a better one.
    #[default]
    Auto,
    /// Burn's pure Rust CPU backend with kernels of our own (feature `flex`).
    Flex,
    /// Burn's older CPU backend, f32 only (feature `ndarray`).
    NdArray,
    /// An NVIDIA GPU by its number (feature `cuda`).
    Cuda(usize),
    /// A Vulkan device by its number (feature `vulkan`).
    Vulkan(usize),
    /// A Metal device by its number (feature `metal`).
    Metal(usize),
    /// A WebGPU device by its number (feature `webgpu`).
    WebGpu(usize),
    /// A device by its number, through whichever graphics interface there is (feature `wgpu`).
    Wgpu(usize),
    /// CubeCL's CPU backend (feature `cpu`).
    CubeCpu,
}

/// What [`Device::from_str`] reads.
const LEGAL: &str =
    "auto, cpu, flex, ndarray, cubecl-cpu, or cuda, vulkan, metal, webgpu or wgpu, each alone or as cuda:1";

impl FromStr for Device {
    type Err = Error;

    /// `cpu` is Flex. A number behind a colon chooses among several devices of a kind; the first is 0.
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

/// As [`Device::from_str`] reads it.
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
    /// How it is asked for.
    pub device: Device,
    /// As it calls itself.
    pub name: String,
    /// It is a processor's work that it does, not a graphics card's.
    pub software: bool,
    /// Bytes that it can hold at most, as far as it says.
    pub memory: Option<u64>,
    /// Bytes of them that nobody used when it was asked, as far as it says: processors and NVIDIA's cards do.
    pub free: Option<u64>,
}

/// Everything that this build can use on this machine and whose driver answers, in the order in which [`Device::Auto`] prefers it.
pub fn devices() -> Vec<DeviceInfo> {
    KINDS.iter().flat_map(|kind| kind.devices().unwrap_or_default()).map(|found| found.info).collect()
}

impl Device {
    /// Whether the processor itself does the work, in main memory.
    pub fn is_processor(self) -> bool {
        matches!(self, Self::Flex | Self::NdArray | Self::CubeCpu)
    }
}

impl DeviceInfo {
    /// Whether [`Device::Auto`] may be this device: it is the first of [`devices`] that may and that holds the weights.
    pub fn suits_auto(&self) -> bool {
        self.device.is_processor() || !self.software
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn devices_are_read_as_they_are_shown() {
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
