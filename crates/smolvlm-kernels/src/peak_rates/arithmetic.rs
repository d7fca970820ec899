//! Operations a second in registers: chains of dependent instructions, so many side by side that none waits for another.

use super::simd;
use super::stopwatch::best_per_thread;
use std::hint::black_box;

/// Instructions of each chain in one repeat: less than a millisecond of work, so that other programs miss some repeats.
const ROUNDS: usize = 1 << 18;

/// Chains of some instruction.
pub(super) struct Chains {
    /// Runs this many rounds, one instruction of every chain each.
    pub(super) run: fn(usize),
    /// Operations in a round.
    pub(super) operations: usize,
}

impl Chains {
    /// Billions of operations a second on all threads together.
    fn rate(&self, threads: usize) -> f64 {
        let work = (ROUNDS * self.operations) as f64 / 1e9;
        best_per_thread(threads, || (self.run)(ROUNDS)).into_iter().map(|seconds| work / seconds).sum()
    }
}

/// f32 multiply-adds, in G operations a second.
pub(super) fn fma_f32(threads: usize) -> f64 {
    simd::fma_f32().unwrap_or(PORTABLE).rate(threads)
}

/// bf16 products, where there is an instruction for them.
pub(super) fn dot_bf16(threads: usize) -> Option<f64> {
    simd::dot_bf16().map(|chains| chains.rate(threads))
}

/// 8-bit products, where there is an instruction for them.
pub(super) fn dot_int8(threads: usize) -> Option<f64> {
    simd::dot_int8().map(|chains| chains.rate(threads))
}

/// Applies `step` to `N` values, over and over.
#[inline(always)]
pub(super) fn chains<T: Copy, const N: usize>(rounds: usize, first: T, step: impl Fn(T) -> T) {
    let mut values = [first; N];
    for value in &mut values {
        // The compiler must not know that all chains are the same one.
        *value = black_box(*value);
    }
    for _ in 0..rounds {
        for value in &mut values {
            *value = step(*value);
        }
    }
    black_box(values);
}

/// Values in a register that every 64-bit processor has.
const LANES: usize = 4;

/// Chains that fit its registers: x86-64 has 16 of them, others 32.
const PORTABLE_CHAINS: usize = if cfg!(target_arch = "x86_64") { 12 } else { 24 };

/// In plain words, for the compiler to vectorize.
const PORTABLE: Chains = Chains { run: portable, operations: 2 * LANES * PORTABLE_CHAINS };

fn portable(rounds: usize) {
    let (factor, term) = (black_box(0.5_f32), black_box(1.0_f32));
    // Where there is no such instruction, `mul_add` would be a call.
    let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
    let multiply_add = |x: f32| if fused { x.mul_add(factor, term) } else { x * factor + term };
    chains::<[f32; LANES], PORTABLE_CHAINS>(rounds, [1.0; LANES], |values| values.map(multiply_add));
}

#[cfg(test)]
mod tests {
    use super::{PORTABLE, chains};
    use std::cell::Cell;

    #[test]
    fn every_chain_takes_every_round() {
        let steps = Cell::new(0);
        chains::<u32, 5>(7, 0, |value| {
            steps.set(steps.get() + 1);
            value + 1
        });
        assert_eq!(steps.get(), 35);
    }

    #[test]
    fn plain_words_work_on_every_machine() {
        (PORTABLE.run)(10);
        assert!(PORTABLE.rate(1) > 0.0);
    }
}
