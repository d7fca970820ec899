//! Which device a model gets: the one that was asked for, or the best that suits it.

use super::find::{Found, KINDS};
use super::{Device, DeviceInfo};
use crate::{Dtype, Error};
use smolvlm_model::WeightFormat;

/// Devices that may be taken, the best first, with the format that weights have there; an error for one that may not.
type Candidates = Box<dyn Iterator<Item = Result<(Found, WeightFormat), Error>>>;

/// A device and the format of the weights there.
pub(crate) struct Choice {
    pub(crate) found: Found,
    pub(crate) format: WeightFormat,
    /// Why it is not one of those that are better.
    pub(crate) passed_over: Vec<Error>,
    rest: Candidates,
}

impl Choice {
    /// What was asked for, or the first that is there and computes in the number format.
    pub(crate) fn new(device: Device, dtype: Dtype) -> Result<Self, Error> {
        Self::next(candidates(device, dtype), Vec::new())
    }

    fn next(mut rest: Candidates, mut passed_over: Vec<Error>) -> Result<Self, Error> {
        for candidate in rest.by_ref() {
            match candidate {
                Ok((found, format)) => return Ok(Self { found, format, passed_over, rest }),
                Err(error) => passed_over.push(error),
            }
        }
        Err(passed_over.pop().unwrap_or(Error::NoBackend { device: Device::Auto }))
    }

    /// The same or, for [`Device::Auto`], the next that holds weights of so many bytes.
    pub(crate) fn that_holds(mut self, needs: impl Fn(WeightFormat) -> u64) -> Result<Self, Error> {
        match too_large(&self.found.info, needs(self.format)) {
            None => Ok(self),
            Some(error) => {
                self.passed_over.push(error);
                Self::next(self.rest, self.passed_over)?.that_holds(needs)
            }
        }
    }
}

fn candidates(device: Device, dtype: Dtype) -> Candidates {
    let with_format = move |found: Found| dtype.on(&found).map(|format| (found, format));
    if device != Device::Auto {
        return Box::new(std::iter::once_with(move || device.find().and_then(with_format)));
    }
    let found = KINDS.iter().flat_map(|kind| match kind.devices() {
        Ok(found) if found.is_empty() => vec![Err(Error::NoDevice { device: kind.first, found: 0 })],
        Ok(found) => found.into_iter().map(for_auto).collect(),
        Err(error) => vec![Err(error)],
    });
    Box::new(found.map(move |found| found.and_then(with_format)))
}

fn for_auto(found: Found) -> Result<Found, Error> {
    if found.info.suits_auto() {
        return Ok(found);
    }
    Err(Error::Software { device: found.info.device, name: found.info.name })
}

/// Why a device cannot hold weights. Processors may use what others let go of, or memory on the disk; cards have what is free.
fn too_large(info: &DeviceInfo, needs: u64) -> Option<Error> {
    let holds = info.memory?;
    let has = info.free.filter(|_| !info.device.is_processor()).unwrap_or(holds);
    (needs > has).then_some(Error::TooLarge { device: info.device, needs, holds, free: info.free })
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use smolvlm_kernels::Format;

    /// A card of 8 GB with 3 free, a card that is not there, and a processor with 16 GB.
    fn choice() -> Result<Choice, Error> {
        let found = |device, memory, free| {
            let info = DeviceInfo { device, name: String::new(), software: false, memory, free };
            Ok((Found { info, handle: burn::tensor::Device::flex() }, WeightFormat::Packed(Format::F32)))
        };
        let candidates = [
            Err(Error::NoDevice { device: Device::Cuda(0), found: 0 }),
            found(Device::Vulkan(0), Some(8 << 30), Some(3 << 30)),
            found(Device::Flex, Some(16 << 30), Some(1 << 30)),
        ];
        Choice::next(Box::new(candidates.into_iter()), Vec::new())
    }

    #[test]
    fn the_first_that_holds_the_weights_is_taken() {
        let small = choice().unwrap().that_holds(|_| 2 << 30).unwrap();
        assert_eq!(small.found.info.device, Device::Vulkan(0));
        assert!(matches!(small.passed_over[..], [Error::NoDevice { device: Device::Cuda(0), .. }]));

        let large = choice().unwrap().that_holds(|_| 4 << 30).unwrap();
        assert_eq!(large.found.info.device, Device::Flex);
        let reasons: Vec<_> = large.passed_over.iter().map(Error::to_string).collect();
        assert!(reasons[1].contains("need 4.3 GB") && reasons[1].contains("3.2 GB of them free"), "{reasons:?}");

        let error = choice().unwrap().that_holds(|_| 17 << 30).err().unwrap();
        assert!(matches!(error, Error::TooLarge { device: Device::Flex, .. }), "{error}");
    }

    #[test]
    fn software_that_draws_is_passed_over() {
        let info =
            |device, software| DeviceInfo { device, name: "lava".to_owned(), software, memory: None, free: None };
        let found = |device, software| Found { info: info(device, software), handle: burn::tensor::Device::flex() };
        assert!(for_auto(found(Device::Wgpu(0), false)).is_ok() && for_auto(found(Device::Flex, true)).is_ok());
        let error = for_auto(found(Device::Vulkan(1), true)).err().unwrap().to_string();
        assert!(error.contains("vulkan:1") && error.contains("lava"), "{error}");
    }

    #[test]
    fn formats_that_a_device_lacks_are_said() {
        let flex = Choice::new(Device::Auto, Dtype::Q4).unwrap();
        assert_eq!(flex.found.info.device, Device::Flex);
        #[cfg(feature = "ndarray")]
        {
            let error = Choice::new(Device::NdArray, Dtype::Bf16).err().unwrap().to_string();
            assert!(error.contains("ndarray") && error.contains("bf16"), "{error}");
        }
    }
}
