//! What this machine can do at most, measured: what the time of a stage is to be compared with.

mod arithmetic;
mod bandwidth;
mod device;
/// Instructions that only some processors have.
#[cfg_attr(target_arch = "x86_64", path = "peak_rates/x86.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "peak_rates/other.rs")]
mod simd;
mod stopwatch;

use burn::tensor::{DType, Device};

/// What this machine, or a device of it, can do at most. A multiply-add counts as two operations; 1 G is 1e9.
///
/// Arithmetic is measured in registers, with the widest instructions that the processor has for the format: no program that
/// fetches its operands from somewhere gets there. Formats without such an instruction have no ceiling of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakRates {
    /// f32 multiply-adds.
    pub fma_f32_gflops: f64,
    /// Products of bf16 values, summed in f32.
    pub dot_bf16_gflops: Option<f64>,
    /// Products of 8-bit integers, summed in 32 bits.
    pub dot_int8_gops: Option<f64>,
    /// Bytes moved from or to memory in order.
    pub read_gbytes_s: f64,
}

impl PeakRates {
    /// Measures a device by large products of matrices and by copying, as Burn does them; none if it fails. Takes some
    /// seconds, and up to 512 MiB of the device's memory.
    pub fn of_device(device: &Device) -> Option<Self> {
        Some(Self {
            fma_f32_gflops: device::matmul(device, DType::F32)?,
            dot_bf16_gflops: device::matmul(device, DType::BF16),
            dot_int8_gops: None,
            read_gbytes_s: device::copy(device)?,
        })
    }

    /// Measures them with this many threads; with one for 0, and with one a core for more than cores. Takes a second or two
    /// and 512 MiB of memory. The best of many short repeats counts, so that other work on the machine matters little.
    pub fn measure(threads: usize) -> Self {
        // More threads than cores do no more, only one after the other.
        let cores = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
        let threads = threads.clamp(1, cores);
        Self {
            fma_f32_gflops: arithmetic::fma_f32(threads),
            dot_bf16_gflops: arithmetic::dot_bf16(threads),
            dot_int8_gops: arithmetic::dot_int8(threads),
            read_gbytes_s: bandwidth::read(threads),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PeakRates;
    use burn::tensor::Device;

    #[test]
    fn devices_have_ceilings() {
        let rates = PeakRates::of_device(&Device::flex()).unwrap();
        assert!(rates.fma_f32_gflops > 0.0 && rates.read_gbytes_s > 0.0, "{rates:?}");
    }

    #[test]
    fn every_machine_has_ceilings() {
        // No threads are taken for one.
        let rates = PeakRates::measure(0);
        let [bf16, int8] = [rates.dot_bf16_gflops, rates.dot_int8_gops].map(|rate| rate.unwrap_or(1.0));
        for rate in [rates.fma_f32_gflops, bf16, int8, rates.read_gbytes_s] {
            assert!(rate.is_finite() && rate > 0.0, "{rates:?}");
        }
    }
}
