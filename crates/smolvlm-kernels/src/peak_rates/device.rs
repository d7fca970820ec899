//! What a device does with tensors, where no instructions can be timed by themselves.

use burn::tensor::{DType, Device, Tensor};
use std::time::{Duration, Instant};

/// Long enough that starting and waiting do not count.
const MIN_DURATION: Duration = Duration::from_millis(50);
/// Runs of which the best counts.
const RUNS: usize = 3;

/// Billions of operations a second in the product of two large square matrices; none for a type that the device lacks.
pub(super) fn matmul(device: &Device, dtype: DType) -> Option<f64> {
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

/// Billions of bytes a second that are read, while as many are written.
pub(super) fn copy(device: &Device) -> Option<f64> {
    let (size, seconds) = best(
        1 << 10,
        1 << 13,
        |size| {
            let a = Tensor::<2>::ones([size, size], (device, DType::F32));
            move || drop(a.clone().add_scalar(1.0))
        },
        device,
    )?;
    // Both ways take the same wires.
    Some(2.0 * 4.0 * (size as f64).powi(2) / seconds / 1e9)
}

/// The first of doubled sizes whose work takes long enough, and the least seconds it takes; none if the device fails.
fn best<F: Fn()>(first: usize, last: usize, prepare: impl Fn(usize) -> F, device: &Device) -> Option<(usize, f64)> {
    let mut size = first;
    loop {
        let work = prepare(size);
        let timed = || {
            let start = Instant::now();
            work();
            device.sync().ok().map(|()| start.elapsed())
        };
        // The first one compiles and chooses kernels.
        timed()?;
        let found = timed()?;
        if found >= MIN_DURATION || size >= last {
            let more = (1..RUNS).map(|_| timed()).collect::<Option<Vec<Duration>>>()?;
            return Some((size, more.into_iter().fold(found, Duration::min).as_secs_f64()));
        }
        size *= 2;
    }
}
