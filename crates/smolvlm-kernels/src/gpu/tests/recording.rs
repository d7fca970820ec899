//! Recorded launches.

use super::gpu_client;
use crate::Activation;
use crate::gpu::elementwise::Elementwise;
use crate::gpu::recording::Recording;
use cubecl::bytes::Bytes;
use cubecl::ir::FloatKind;
use cubecl::prelude::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

const F32: ElemType = ElemType::Float(FloatKind::F32);

#[test]
fn computation_is_launched_until_it_is_recorded() {
    let client = gpu_client();
    let [input, out] = [0.0, 0.0].map(|value: f32| client.create_from_slice(f32::as_bytes(&[value; 4])));
    let mut recording = Recording::new([&input], vec![out.clone()]);
    let launches = Cell::new(0);
    let kernels = Elementwise { client: &client, element: F32 };
    for round in 1..=4 {
        let x = round as f32;
        let prepare = |_| client.write(&input, Bytes::from_bytes_vec(f32::as_bytes(&[x; 4]).to_vec()));
        recording.run(&client, prepare, || {
            launches.set(launches.get() + 1);
            kernels.activate(Activation::Silu, 4, &input, None, &out);
        });
        let found = f32::from_bytes(&client.read_one(out.clone()).unwrap()).to_vec();
        found
            .iter()
            .for_each(|value| assert!((value - x / (1.0 + (-x).exp())).abs() < 1e-5, "{value} in round {round}"));
    }
    // Once in the first round, twice in the second, when it is recorded, and never again.
    assert_eq!(launches.get(), 3);
}

#[test]
fn stream_is_usable_after_a_panic() {
    let client = gpu_client();
    let mut recording = Recording::new([], Vec::new()).of_compiled();
    let launches = Cell::new(0);
    let panics = || {
        launches.set(launches.get() + 1);
        assert!(launches.get() < 2, "the recorded launch");
    };
    let run = AssertUnwindSafe(|| recording.run(&client, |_| {}, panics));
    assert!(catch_unwind(run).is_err());
    let values = client.create_from_slice(f32::as_bytes(&[5.0; 4]));
    assert_eq!(f32::from_bytes(&client.read_one(values).unwrap()), [5.0; 4]);
}

#[test]
fn computation_that_cannot_be_recorded_starts_again() {
    let client = gpu_client();
    let put = |value: f32| client.create_from_slice(f32::as_bytes(&[value; 4]));
    let [input, out, kept, next] = [0.0, 0.0, 7.0, 0.0].map(put);
    let mut recording = Recording::new([&input], vec![out.clone(), kept.clone(), next.clone()]);
    let restarts = Cell::new(0);
    let kernels = Elementwise { client: &client, element: F32 };
    for round in 1..=5 {
        let x = round as f32;
        let write = |value: f32| client.write(&input, Bytes::from_bytes_vec(f32::as_bytes(&[value; 4]).to_vec()));
        let prepare = |again: bool| {
            restarts.set(restarts.get() + usize::from(again));
            write(x);
        };
        recording.run(&client, prepare, || {
            kernels.copy(4, 4, &input, &out);
            // Its old values are part of the result.
            kernels.activate(Activation::Silu, 4, &kept, None, &next);
            kernels.copy(4, 4, &next, &kept);
            // Recordings have no writes.
            write(-1.0);
        });
        assert_eq!(f32::from_bytes(&client.read_one(out.clone()).unwrap()), [x; 4]);
    }
    assert_eq!(restarts.get(), 2);
    // Of a failed recording, the launches before and after it remain.
    let silu = |x: f32| x / (1.0 + (-x).exp());
    let wanted = (0..7).fold(7.0, |x, _| silu(x));
    let found = f32::from_bytes(&client.read_one(kept).unwrap())[0];
    assert!((found - wanted).abs() < 1e-4, "{found} instead of {wanted}");
}
