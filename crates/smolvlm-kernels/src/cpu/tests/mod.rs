//! Tests of the kernels against f64 reference implementations over random shapes, and across threads and batches.

mod activations;
mod attention;
mod kv_pages;
mod matmuls;
mod paged_attention;
mod tiles;

/// Deterministic pseudorandom number generator.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform integer in `0..end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    /// Uniform value from -1 to 1.
    pub(super) fn value(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(super) fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }
}

/// Rounds to bf16 and converts to f64.
pub(super) fn rounded_to_bf16(value: f32) -> f64 {
    f64::from(half::bf16::from_f32(value).to_f32())
}
