//! Arithmetic throughput in registers: enough independent chains of dependent instructions to hide instruction latency.

use super::simd;
use super::stopwatch::best_per_thread;
use std::hint::black_box;

/// Instructions of each chain in one repeat: less than a millisecond of work, so that some repeats run undisturbed.
const ROUNDS: usize = 1 << 18;

/// Independent chains of one instruction.
pub(super) struct Chains {
    /// Runs this many rounds; each executes one instruction of every chain.
    pub(super) run: fn(usize),
    /// Operations per round.
    pub(super) operations: usize,
}

impl Chains {
    /// Total rate of all threads, in billions of operations per second.
    fn rate(&self, threads: usize) -> f64 {
        let work = (ROUNDS * self.operations) as f64 / 1e9;
        best_per_thread(threads, || (self.run)(ROUNDS)).into_iter().map(|seconds| work / seconds).sum()
    }
}

/// Rate of f32 multiply-adds, in billions of operations per second.
pub(super) fn fma_f32(threads: usize) -> f64 {
    simd::fma_f32().unwrap_or(PORTABLE).rate(threads)
}

/// Rate of bf16 dot products, where the processor has an instruction for them.
pub(super) fn dot_bf16(threads: usize) -> Option<f64> {
    simd::dot_bf16().map(|chains| chains.rate(threads))
}

/// Rate of 8-bit dot products, where the processor has an instruction for them.
pub(super) fn dot_int8(threads: usize) -> Option<f64> {
    simd::dot_int8().map(|chains| chains.rate(threads))
}

/// Applies `step` to `N` values `rounds` times.
#[inline(always)]
pub(super) fn chains<T: Copy, const N: usize>(rounds: usize, first: T, step: impl Fn(T) -> T) {
    let mut values = [first; N];
    for value in &mut values {
        // The compiler must not merge the chains, which are all equal.
        *value = black_box(*value);
    }
    for _ in 0..rounds {
        for value in &mut values {
            *value = step(*value);
        }
    }
    black_box(values);
}

/// f32 values per vector register of every 64-bit processor.
const LANES: usize = 4;

/// Number of chains that fit the registers: x86-64 has 16 of them, others 32.
const PORTABLE_CHAINS: usize = if cfg!(target_arch = "x86_64") { 12 } else { 24 };

/// Portable code that the compiler vectorizes.
const PORTABLE: Chains = Chains { run: portable, operations: 2 * LANES * PORTABLE_CHAINS };

fn portable(rounds: usize) {
    let (factor, term) = (black_box(0.5_f32), black_box(1.0_f32));
    // Without an FMA instruction, `mul_add` would be a library call.
    let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
    let multiply_add = |x: f32| if fused { x.mul_add(factor, term) } else { x * factor + term };
    chains::<[f32; LANES], PORTABLE_CHAINS>(rounds, [1.0; LANES], |values| values.map(multiply_add));
}

#[cfg(test)]
mod tests {
    use super::{PORTABLE, chains};
    use std::cell::Cell;

    #[test]
    fn every_chain_runs_every_round() {
        let steps = Cell::new(0);
        chains::<u32, 5>(7, 0, |value| {
            steps.set(steps.get() + 1);
            value + 1
        });
        assert_eq!(steps.get(), 35);
    }

    #[test]
    fn portable_code_runs_on_every_machine() {
        (PORTABLE.run)(10);
        assert!(PORTABLE.rate(1) > 0.0);
    }
}
