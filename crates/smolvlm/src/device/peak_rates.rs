//! Peak rates of a device, measured with tensor operations because single instructions cannot be timed there.

use burn::tensor::{DType, Device, Tensor};
use smolvlm_kernels::PeakRates;
use std::time::{Duration, Instant};

/// Minimum duration of a run, so that launch and synchronization overhead are negligible.
const MIN_DURATION: Duration = Duration::from_millis(50);
/// Number of runs, of which the fastest counts.
const RUNS: usize = 3;

/// Measures a device with Burn's large matrix products and copies; `None` if the device fails. Takes a few seconds and
/// up to 512 MiB of the device's memory.
pub(crate) fn peak_rates(device: &Device) -> Option<PeakRates> {
    Some(PeakRates {
        fma_f32_gflops: matmul(device, DType::F32)?,
        dot_bf16_gflops: matmul(device, DType::BF16),
        dot_int8_gops: None,
        read_gbytes_s: copy(device)?,
    })
}

/// Rate of a product of two large square matrices, in billions of operations per second; `None` for an unsupported data
/// type.
fn matmul(device: &Device, dtype: DType) -> Option<f64> {
    if !device.supports_dtype(dtype) {
        return None;
    }
    let (size, seconds) = best(
        256,
        8192,
        |size| {
            let a = Tensor::<2>::ones([size, size], (device, dtype));
            move || drop(a.clone().matmul(a.clone()))
        },
        device,
    )?;
    Some(2.0 * (size as f64).powi(3) / seconds / 1e9)
}

/// Memory bandwidth of a copy in GB/s, counting reads and writes.
fn copy(device: &Device) -> Option<f64> {
    let (size, seconds) = best(
        1 << 10,
        1 << 13,
        |size| {
            let a = Tensor::<2>::ones([size, size], (device, DType::F32));
            move || drop(a.clone().add_scalar(1.0))
        },
        device,
    )?;
    // Reads and writes share the memory bus.
    Some(2.0 * 4.0 * (size as f64).powi(2) / seconds / 1e9)
}

/// Doubles the size until the work takes [`MIN_DURATION`]; returns that size and the shortest time in seconds, `None`
/// if the device fails.
fn best<F: Fn()>(first: usize, last: usize, prepare: impl Fn(usize) -> F, device: &Device) -> Option<(usize, f64)> {
    let mut size = first;
    loop {
        let work = prepare(size);
        let timed = || {
            let start = Instant::now();
            work();
            device.sync().ok().map(|()| start.elapsed())
        };
        // The first run compiles and autotunes kernels.
        timed()?;
        let found = timed()?;
        if found >= MIN_DURATION || size >= last {
            let more = (1..RUNS).map(|_| timed()).collect::<Option<Vec<Duration>>>()?;
            return Some((size, more.into_iter().fold(found, Duration::min).as_secs_f64()));
        }
        size *= 2;
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::peak_rates;
    use burn::tensor::Device;

    #[test]
    fn rates_are_positive() {
        let rates = peak_rates(&Device::flex()).unwrap();
        assert!(rates.fma_f32_gflops > 0.0 && rates.read_gbytes_s > 0.0, "{rates:?}");
    }
}
