//! Conversion of backend panics to errors.

use crate::Device;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs work on a device. GPU backends panic when a driver fails or memory runs out: these panics become errors. A
/// panic on a CPU is a bug of this project and propagates.
pub(crate) fn guarded<T, E: From<smolvlm_model::Error>>(
    device: Device,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    if device.is_cpu() {
        return work();
    }
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(smolvlm_model::Error::device(&text.unwrap_or("the backend failed without an error message")).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use smolvlm_model::Error;

    #[test]
    fn gpu_backend_panics_are_errors() {
        let full = || -> Result<(), Error> { panic!("out of device memory allocating {} bytes", 5) };
        let error = guarded(Device::Cuda(0), full).unwrap_err();
        assert!(matches!(&error, Error::OutOfMemory(said) if said.contains("allocating 5 bytes")), "{error}");
        assert!(catch_unwind(|| guarded(Device::Flex, full)).is_err(), "CPU panics propagate");
        assert_eq!(guarded::<_, Error>(Device::Wgpu(1), || Ok(3)).unwrap(), 3);
    }
}
