//! Benchmark of CubeK's matrix product strategies for the shapes of a model, on a GPU:
//! `cargo run --release -p smolvlm-nn --features cuda-nvrtc --example gpu_matmuls [f32]`.

use burn::tensor::{DType, Device, DeviceType, Distribution, Tensor};
use smolvlm_nn::gpu::matmul::{exact, matmul, strategies};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Rows, inputs and outputs: tiles of the vision encoder of the 256M model, and prompts and batches of its text model.
const SHAPES: [[usize; 3]; 7] = [
    [13 * 1024, 768, 3072],
    [13 * 1024, 3072, 768],
    [13 * 1024, 768, 768],
    [1024, 768, 3072],
    [900, 576, 1536],
    [900, 1536, 576],
    [94, 576, 1536],
];
const RUNS: u32 = 20;

fn main() {
    let dtype = if std::env::args().any(|argument| argument == "f32") { DType::F32 } else { DType::BF16 };
    let device = Device::enumerate(DeviceType::Cuda).into_iter().next().expect("a GPU");
    let candidates = strategies().into_iter().chain([("exact", exact())]);
    let suits = |name: &str| dtype == DType::BF16 || name == "exact" || name == "cmma simple";
    let candidates: Vec<_> = candidates.filter(|(name, _)| suits(name)).collect();
    for [rows, inputs, outputs] in SHAPES {
        let random = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Default, &device).cast(dtype);
        let (x, weight) = (random([rows, inputs]), random([outputs, inputs]));
        let wanted = x.clone().matmul(weight.clone().transpose()).cast(DType::F32);
        println!("{rows} x {inputs} x {outputs}");
        for (name, strategy) in &candidates {
            let once = || matmul(x.clone(), weight.clone().transpose(), strategy);
            let clock = Instant::now();
            let checked = catch_unwind(AssertUnwindSafe(|| {
                let error = (once()?.cast(DType::F32) - wanted.clone()).abs().max();
                Ok::<_, String>(error.into_scalar::<f32>())
            }));
            let compiled = clock.elapsed();
            match checked {
                Ok(Ok(error)) => {
                    let clock = Instant::now();
                    for _ in 0..RUNS {
                        let _ = once();
                    }
                    let _ = device.sync();
                    let each = clock.elapsed() / RUNS;
                    let rate = 2.0 * (rows * inputs * outputs) as f64 / each.as_secs_f64() / 1e12;
                    println!("  {name:<24} {each:>10.1?} {rate:>8.1} TFLOP/s, off by {error}, first {compiled:.2?}");
                }
                Ok(Err(error)) => println!("  {name:<24} {}", error.lines().next().unwrap_or_default()),
                Err(_) => println!("  {name:<24} panicked"),
            }
        }
    }
}
