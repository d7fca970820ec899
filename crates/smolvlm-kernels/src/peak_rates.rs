//! Measured peak compute rates and memory bandwidth, the roofline to which the time of a stage is compared.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod arithmetic;
mod bandwidth;
/// Instructions that only some processors support.
#[cfg_attr(target_arch = "x86_64", path = "peak_rates/x86.rs")]
#[cfg_attr(target_arch = "aarch64", path = "peak_rates/arm64.rs")]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), path = "peak_rates/other.rs")]
mod simd;
mod stopwatch;

/// Peak rates of this machine or of one of its devices. A multiply-add counts as two operations; 1 G is 1e9.
///
/// Arithmetic is measured in registers, with the widest instructions for the format that the kernels may use
/// (`SMOLVLM_ISA`): no program that loads its operands from memory reaches these rates. Formats without such an
/// instruction have no rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakRates {
    /// Rate of f32 multiply-adds.
    pub fma_f32_gflops: f64,
    /// Rate of bf16 dot products with f32 accumulation.
    pub dot_bf16_gflops: Option<f64>,
    /// Rate of 8-bit integer dot products with 32-bit accumulation.
    pub dot_int8_gops: Option<f64>,
    /// Sequential memory bandwidth.
    pub read_gbytes_s: f64,
}

impl PeakRates {
    /// Measures the CPU with `threads` threads, clamped to the range from one to the number of cores. Takes one to two
    /// seconds and 512 MiB of memory. Reports the best of many short repeats, so that other load on the machine matters
    /// little.
    pub fn measure(threads: usize) -> Self {
        // More threads than cores would only take turns.
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

    #[test]
    fn cpu_rates_are_finite_and_positive() {
        // Zero threads are clamped to one.
        let rates = PeakRates::measure(0);
        let [bf16, int8] = [rates.dot_bf16_gflops, rates.dot_int8_gops].map(|rate| rate.unwrap_or(1.0));
        for rate in [rates.fma_f32_gflops, bf16, int8, rates.read_gbytes_s] {
            assert!(rate.is_finite() && rate > 0.0, "{rates:?}");
        }
    }
}
