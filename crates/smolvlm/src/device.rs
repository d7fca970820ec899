//! Where a model runs: what this build can use, and what this machine has of it.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// Where a model runs. Every kind but [`Auto`](Self::Auto) needs the cargo feature of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The first of these that this build and this machine have: CUDA, Metal, Vulkan, WebGPU, any graphics interface, Flex,
    /// ndarray, CubeCL's CPU. Graphics interfaces that draw in software are never chosen.
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
}

/// A device with Burn's handle on it.
pub(crate) struct Found {
    pub(crate) info: DeviceInfo,
    pub(crate) handle: burn::tensor::Device,
}

/// Everything that this build can use on this machine, in the order in which [`Device::Auto`] prefers it.
pub fn devices() -> Vec<DeviceInfo> {
    KINDS.iter().flat_map(|kind| kind()).map(|found| found.info).collect()
}

/// Kinds of devices, the best first, each with its list.
const KINDS: [fn() -> Vec<Found>; 8] = [cuda, metal, vulkan, webgpu, wgpu, flex, ndarray, cube_cpu];

impl Device {
    /// Whether the processor itself does the work, in main memory.
    pub fn is_processor(self) -> bool {
        matches!(self, Self::Flex | Self::NdArray | Self::CubeCpu)
    }

    /// The device itself; an error if the build lacks its backend, or the machine such a device.
    pub(crate) fn find(self) -> Result<Found, Error> {
        if self == Self::Auto {
            // Kind by kind: asking a graphics interface takes time.
            let best = KINDS.iter().find_map(|kind| kind().into_iter().find(|found| found.info.suits_auto()));
            return best.ok_or(Error::NoBackend { device: self });
        }
        let kind: fn() -> Vec<Found> = match self {
            Self::Cuda(_) if cfg!(feature = "cuda") => cuda,
            Self::Metal(_) if cfg!(feature = "metal") => metal,
            Self::Vulkan(_) if cfg!(feature = "vulkan") => vulkan,
            Self::WebGpu(_) if cfg!(feature = "webgpu") => webgpu,
            Self::Wgpu(_) if cfg!(feature = "wgpu") => wgpu,
            Self::Flex if cfg!(feature = "flex") => flex,
            Self::NdArray if cfg!(feature = "ndarray") => ndarray,
            Self::CubeCpu if cfg!(feature = "cpu") => cube_cpu,
            _ => return Err(Error::NoBackend { device: self }),
        };
        let mut found = kind();
        match found.iter().position(|found| found.info.device == self) {
            Some(position) => Ok(found.swap_remove(position)),
            None => Err(Error::NoDevice { device: self, found: found.len() }),
        }
    }
}

impl DeviceInfo {
    /// Whether [`Device::Auto`] may be this device: it is the first of [`devices`] that may.
    pub fn suits_auto(&self) -> bool {
        let graphics =
            matches!(self.device, Device::Vulkan(_) | Device::Metal(_) | Device::WebGpu(_) | Device::Wgpu(_));
        !(graphics && self.software)
    }
}

fn flex() -> Vec<Found> {
    #[cfg(feature = "flex")]
    return vec![processor(Device::Flex, burn::tensor::Device::flex(), "this processor, Burn's Flex")];
    #[cfg(not(feature = "flex"))]
    Vec::new()
}

fn ndarray() -> Vec<Found> {
    #[cfg(feature = "ndarray")]
    // Deprecated in favour of Flex, and kept for those who ask for it.
    #[allow(deprecated)]
    return vec![processor(Device::NdArray, burn::tensor::Device::ndarray(), "this processor, ndarray")];
    #[cfg(not(feature = "ndarray"))]
    Vec::new()
}

fn cube_cpu() -> Vec<Found> {
    #[cfg(feature = "cpu")]
    return vec![processor(Device::CubeCpu, burn::tensor::Device::cpu(), "this processor, CubeCL")];
    #[cfg(not(feature = "cpu"))]
    Vec::new()
}

#[cfg(any(feature = "flex", feature = "ndarray", feature = "cpu"))]
fn processor(device: Device, handle: burn::tensor::Device, name: &str) -> Found {
    let info = DeviceInfo { device, name: name.to_owned(), software: true, memory: main_memory() };
    Found { info, handle }
}

/// The machine's memory, or what this process may have of it.
#[cfg(any(feature = "flex", feature = "ndarray", feature = "cpu"))]
fn main_memory() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    Some(system.total_memory().min(limit)).filter(|bytes| *bytes > 0)
}

macro_rules! enumerated {
    ($($name:ident $feature:literal $kind:ident $device:ident;)*) => {
        $(
            fn $name() -> Vec<Found> {
                #[cfg(feature = $feature)]
                return enumerate(burn::tensor::DeviceType::$kind, Device::$device);
                #[cfg(not(feature = $feature))]
                Vec::new()
            }
        )*
    };
}

enumerated! {
    cuda "cuda" Cuda Cuda;
    metal "metal" Metal Metal;
    vulkan "vulkan" Vulkan Vulkan;
    webgpu "webgpu" WebGpu WebGpu;
    wgpu "wgpu" Wgpu Wgpu;
}

/// The machine's devices of a kind, by number.
#[cfg(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "webgpu", feature = "wgpu"))]
fn enumerate(kind: burn::tensor::DeviceType, device: fn(usize) -> Device) -> Vec<Found> {
    let found = burn::tensor::Device::enumerate(kind).into_iter().enumerate();
    let found = found.map(|(index, handle)| {
        let identity = handle.identity();
        let name = identity.as_ref().map_or_else(|| "unnamed".to_owned(), |identity| identity.name.clone());
        // No card behind it: a rasteriser in software.
        let software = identity.is_none_or(|identity| identity.physical.is_none());
        let memory = card_memory(&handle);
        Found { info: DeviceInfo { device: device(index), name, software, memory }, handle }
    });
    found.collect()
}

/// What the driver lets a program have of a card's memory.
#[cfg(any(feature = "cuda", feature = "metal", feature = "vulkan", feature = "webgpu", feature = "wgpu"))]
fn card_memory(handle: &burn::tensor::Device) -> Option<u64> {
    match handle.as_dispatch() {
        burn::backend::DispatchDevice::Cube(device) => device.client().properties().memory.max_memory(),
        // Processors' backends, which the build may have as well.
        #[allow(unreachable_patterns)]
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Device, DeviceInfo};

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

    #[test]
    fn software_that_draws_is_never_chosen() {
        let info = |device, software| DeviceInfo { device, name: String::new(), software, memory: None };
        let suits = |device, software| info(device, software).suits_auto();
        assert!(suits(Device::Wgpu(0), false) && suits(Device::Flex, true));
        assert!(!suits(Device::Wgpu(0), true) && !suits(Device::Vulkan(1), true));
    }

    #[cfg(feature = "flex")]
    #[test]
    fn what_is_missing_is_said() {
        let flex = Device::Flex.find().unwrap().info;
        assert_eq!(flex.device, Device::Flex);
        // No machine that builds this has less.
        assert!(flex.memory.unwrap() > 256 << 20);
        #[cfg(not(feature = "cuda"))]
        {
            let error = Device::Cuda(0).find().err().unwrap().to_string();
            assert!(error.contains("cuda:0") && error.contains("feature"), "{error}");
        }
    }
}
