//! Tests of the GPU kernels, on a GPU or Mesa's software renderer, against reference loops.

mod decoder;
mod elementwise;
mod recording;
mod top;

use cubecl::prelude::Client;

fn gpu_client() -> Client {
    cubecl::Device::default().client()
}

/// Deterministic pseudorandom values from `-scale` to `scale`.
fn random_values(seed: usize, count: usize, scale: f32) -> Vec<f32> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 2.0 * scale
    };
    (0..count).map(number).collect()
}
