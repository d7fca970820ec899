//! Device selection: the requested device, or the best suitable one.

use super::find::{Found, KINDS};
use super::{Device, DeviceInfo};
use crate::{Dtype, Error};
use smolvlm_kernels::cpu::Isa;
use smolvlm_model::WeightFormat;

/// Candidate devices, best first, with the format of the weights there; an error for an unsuitable device.
type Candidates = Box<dyn Iterator<Item = Result<(Found, WeightFormat), Error>>>;

/// A selected device and the format of the weights there.
pub(crate) struct DeviceChoice {
    pub(crate) found: Found,
    pub(crate) format: WeightFormat,
    /// Why better devices were skipped.
    pub(crate) skipped_devices: Vec<Error>,
    rest: Candidates,
}

impl DeviceChoice {
    /// Selects the requested device, or the first one that is available and supports the number format.
    pub(crate) fn new(device: Device, dtype: Dtype) -> Result<Self, Error> {
        if let Some(value) = Isa::unknown_cap() {
            return Err(Error::Option {
                option: "SMOLVLM_ISA",
                value,
                legal: "baseline, avx2, avxvnni, avx512 or avx512bf16",
            });
        }
        Self::next(candidates(device, dtype), Vec::new())
    }

    fn next(mut rest: Candidates, mut skipped_devices: Vec<Error>) -> Result<Self, Error> {
        for candidate in rest.by_ref() {
            match candidate {
                Ok((found, format)) => return Ok(Self { found, format, skipped_devices, rest }),
                Err(error) => skipped_devices.push(error),
            }
        }
        Err(skipped_devices.pop().unwrap_or(Error::NoBackend { device: Device::Auto }))
    }

    /// Keeps this device if it has `needs` bytes of memory for the weights, else selects the next one for
    /// [`Device::Auto`].
    pub(crate) fn with_room_for(mut self, needs: impl Fn(WeightFormat) -> u64) -> Result<Self, Error> {
        match too_large(&self.found.info, needs(self.format)) {
            None => Ok(self),
            Some(error) => {
                self.skipped_devices.push(error);
                Self::next(self.rest, self.skipped_devices)?.with_room_for(needs)
            }
        }
    }
}

fn candidates(device: Device, dtype: Dtype) -> Candidates {
    let with_format = move |found: Found| dtype.weight_format(&found).map(|format| (found, format));
    if device != Device::Auto {
        return Box::new(std::iter::once_with(move || device.find().and_then(with_format)));
    }
    let found = KINDS.iter().flat_map(|kind| match kind.devices() {
        Ok(found) if found.is_empty() => vec![Err(Error::NoDevice { device: kind.first, found: 0 })],
        Ok(found) => found.into_iter().map(check_auto).collect(),
        Err(error) => vec![Err(error)],
    });
    Box::new(found.map(move |found| found.and_then(with_format)))
}

fn check_auto(found: Found) -> Result<Found, Error> {
    if found.info.suits_auto() {
        return Ok(found);
    }
    Err(Error::Software { device: found.info.device, name: found.info.name })
}

/// The error if weights do not fit. CPUs count total memory, as caches can be evicted and pages swapped; GPUs free
/// memory.
fn too_large(info: &DeviceInfo, needs: u64) -> Option<Error> {
    let holds = info.memory?;
    let has = info.free.filter(|_| !info.device.is_cpu()).unwrap_or(holds);
    (needs > has).then_some(Error::TooLarge { device: info.device, needs, holds, free: info.free })
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use smolvlm_kernels::PackedFormat;

    /// A missing GPU, a GPU of 8 GiB with 3 GiB free, and a CPU with 16 GiB.
    fn choice() -> Result<DeviceChoice, Error> {
        let found = |device, memory, free| {
            let info = DeviceInfo { device, name: String::new(), software: false, memory, free };
            Ok((Found { info, handle: burn::tensor::Device::flex() }, WeightFormat::Packed(PackedFormat::F32)))
        };
        let candidates = [
            Err(Error::NoDevice { device: Device::Cuda(0), found: 0 }),
            found(Device::Vulkan(0), Some(8 << 30), Some(3 << 30)),
            found(Device::Flex, Some(16 << 30), Some(1 << 30)),
        ];
        DeviceChoice::next(Box::new(candidates.into_iter()), Vec::new())
    }

    #[test]
    fn first_device_with_room_for_the_weights_is_selected() {
        let small = choice().unwrap().with_room_for(|_| 2 << 30).unwrap();
        assert_eq!(small.found.info.device, Device::Vulkan(0));
        assert!(matches!(small.skipped_devices[..], [Error::NoDevice { device: Device::Cuda(0), .. }]));

        let large = choice().unwrap().with_room_for(|_| 4 << 30).unwrap();
        assert_eq!(large.found.info.device, Device::Flex);
        let reasons: Vec<_> = large.skipped_devices.iter().map(Error::to_string).collect();
        assert!(reasons[1].contains("need 4.3 GB") && reasons[1].contains("3.2 GB of them free"), "{reasons:?}");

        let error = choice().unwrap().with_room_for(|_| 17 << 30).err().unwrap();
        assert!(matches!(error, Error::TooLarge { device: Device::Flex, .. }), "{error}");
    }

    #[test]
    fn software_renderers_are_skipped() {
        let info =
            |device, software| DeviceInfo { device, name: "lava".to_owned(), software, memory: None, free: None };
        let found = |device, software| Found { info: info(device, software), handle: burn::tensor::Device::flex() };
        assert!(check_auto(found(Device::Wgpu(0), false)).is_ok() && check_auto(found(Device::Flex, true)).is_ok());
        let error = check_auto(found(Device::Vulkan(1), true)).err().unwrap().to_string();
        assert!(error.contains("vulkan:1") && error.contains("lava"), "{error}");
    }

    #[test]
    fn unsupported_formats_are_errors() {
        let flex = DeviceChoice::new(Device::Auto, Dtype::Q4).unwrap();
        assert_eq!(flex.found.info.device, Device::Flex);
        #[cfg(feature = "ndarray")]
        {
            let error = DeviceChoice::new(Device::NdArray, Dtype::Bf16).err().unwrap().to_string();
            assert!(error.contains("ndarray") && error.contains("bf16"), "{error}");
        }
    }
}
