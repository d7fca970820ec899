//! Conversion of backend panics to errors.

use crate::{Device, Error};
use std::any::Any;
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
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(smolvlm_model::Error::device(&panic_message(panic.as_ref())).into()))
}

/// The error of a panic in work on a device.
pub(crate) fn panic_error(device: Device, message: &str) -> Error {
    if device.is_cpu() {
        return Error::Panicked { message: message.to_owned() };
    }
    smolvlm_model::Error::device(&message).into()
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no error message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::guarded;
    use crate::Device;
    use smolvlm_model::Error;
    use std::panic::catch_unwind;

    #[test]
    fn gpu_backend_panics_are_errors() {
        let full = || -> Result<(), Error> { panic!("out of device memory allocating {} bytes", 5) };
        let error = guarded(Device::Cuda(0), full).unwrap_err();
        assert!(matches!(&error, Error::OutOfMemory(said) if said.contains("allocating 5 bytes")), "{error}");
        assert!(catch_unwind(|| guarded(Device::Flex, full)).is_err(), "CPU panics propagate");
        assert_eq!(guarded::<_, Error>(Device::Wgpu(1), || Ok(3)).unwrap(), 3);
    }
}
