//! Tests of every operation and its gradients against Burn's generic operations, which a device with gradient
//! checkpointing uses: the custom operations do not support it.

use crate::{
    Activation, AttentionMask, LayerNorm, Linear, RmsNorm, Rotary, attention, cross_entropy, gather_rows, rotate,
};
use burn::module::Param;
use burn::tensor::{Bool, DType, Device, Distribution, Int, Tensor, TensorData};

fn devices() -> [Device; 2] {
    [Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()]
}

fn random(shape: impl Into<Vec<usize>>) -> TensorData {
    let shape = shape.into();
    let count = shape.iter().product::<usize>();
    let values = Tensor::<1>::random([count], Distribution::Normal(0.0, 1.0), &Device::flex());
    TensorData::new(values.into_data().try_to_vec::<f32>().unwrap(), shape)
}

fn leaf<const D: usize>(data: &TensorData, device: &Device) -> Tensor<D> {
    Tensor::from_data(data.clone(), (device, DType::F32)).require_grad()
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.inner().into_data().try_to_vec().unwrap()
}

/// Runs the backward pass from a weighted sum of the results, so that each has a different gradient.
fn finish<const D: usize>(
    y: Tensor<D>,
    gradients: impl Fn(&burn::tensor::Gradients) -> Vec<Vec<f32>>,
) -> Vec<Vec<f32>> {
    let count = y.dims().iter().product::<usize>();
    let weights: Vec<f32> = (0..count).map(|index| ((index * 7919) % 101) as f32 / 50.0 - 1.0).collect();
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), &y.device()).reshape(y.dims());
    let found = (y.clone() * weights).sum().backward();
    let mut all = vec![values(y)];
    all.extend(gradients(&found));
    all
}

fn assert_same(run: impl Fn(&Device) -> Vec<Vec<f32>>) {
    let [custom, generic] = devices().map(|device| run(&device));
    assert_eq!(custom.len(), generic.len());
    for (index, (custom, generic)) in custom.iter().zip(&generic).enumerate() {
        assert_eq!(custom.len(), generic.len(), "result {index}");
        let scale = generic.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
        for (custom, generic) in custom.iter().zip(generic) {
            assert!((custom - generic).abs() < 1e-5 * scale, "result {index}: {custom} instead of {generic}");
        }
    }
}

macro_rules! gradients {
    ($($leaf:ident),*) => {
        |found: &burn::tensor::Gradients| vec![$(values($leaf.grad(found).unwrap())),*]
    };
}

#[test]
fn linear_gradients_match() {
    let (x, w, b) = (random([3, 5, 24]), random([17, 24]), random([17]));
    for bias in [false, true] {
        assert_same(|device| {
            let (x, w, b) = (leaf::<3>(&x, device), leaf::<2>(&w, device), leaf::<1>(&b, device));
            let layer = Linear::from_tensors(w.clone(), bias.then(|| b.clone()));
            let y = layer.forward(x.clone());
            if bias { finish(y, gradients!(x, w, b)) } else { finish(y, gradients!(x, w)) }
        });
    }
}

#[test]
fn frozen_weight_gets_no_gradient() {
    let device = &devices()[0];
    let (x, w) = (leaf::<2>(&random([4, 6]), device), Tensor::<2>::from_data(random([5, 6]), device));
    let found = Linear::from_tensors(w.clone(), None).forward(x.clone()).sum().backward();
    assert!(x.grad(&found).is_some() && w.grad(&found).is_none());
}

#[test]
fn norm_gradients_match() {
    // More rows than a task.
    let (x, w, b) = (random([2, 300, 40]), random([40]), random([40]));
    assert_same(|device| {
        let (x, w, b) = (leaf::<3>(&x, device), leaf::<1>(&w, device), leaf::<1>(&b, device));
        let param = |tensor: &Tensor<1>| Param::from_tensor(tensor.clone());
        let norm = LayerNorm { weight: param(&w), bias: param(&b), eps: 1e-6 };
        let (w, b) = (norm.weight.val(), norm.bias.val());
        finish(norm.forward(x.clone()), gradients!(x, w, b))
    });
    assert_same(|device| {
        let (x, w) = (leaf::<3>(&x, device), leaf::<1>(&w, device));
        let norm = RmsNorm { weight: Param::from_tensor(w), eps: 1e-5 };
        let w = norm.weight.val();
        finish(norm.forward(x.clone()), gradients!(x, w))
    });
}

#[test]
fn activation_gradients_match() {
    let (x, gate) = (random([7, 33]), random([7, 33]));
    for function in [Activation::GeluTanh, Activation::Gelu, Activation::Silu, Activation::Relu] {
        assert_same(|device| {
            let x = leaf::<2>(&x, device);
            finish(crate::activate(function, x.clone()), gradients!(x))
        });
        assert_same(|device| {
            let (gate, x) = (leaf::<2>(&gate, device), leaf::<2>(&x, device));
            finish(crate::gate(function, gate.clone(), x.clone()), gradients!(gate, x))
        });
    }
}

#[test]
fn attention_gradients_match_for_every_mask() {
    // More queries than a block, grouped heads, and heads in the layout of layers.
    for (batch, heads, kv_heads, queries, keys) in [(2, 4, 4, 5, 5), (1, 6, 2, 150, 150), (2, 2, 1, 3, 70)] {
        let q = random([batch, queries, heads, 8]);
        let (k, v) = (random([batch, keys, kv_heads, 8]), random([batch, keys, kv_heads, 8]));
        let bits: Vec<bool> = (0..batch * queries * keys).map(|at| at % 3 == 1 && at % keys != 0).collect();
        let bits = TensorData::new(bits, [batch, 1, queries, keys]);
        for which in 0..3 {
            assert_same(|device| {
                let (q, k, v) = (leaf::<4>(&q, device), leaf::<4>(&k, device), leaf::<4>(&v, device));
                let mask = match which {
                    0 => AttentionMask::None,
                    1 => AttentionMask::Causal,
                    _ => AttentionMask::Hidden(Tensor::<4, Bool>::from_data(bits.clone(), device)),
                };
                let heads = |x: &Tensor<4>| x.clone().swap_dims(1, 2);
                finish(attention(heads(&q), heads(&k), heads(&v), &mask).swap_dims(1, 2), gradients!(q, k, v))
            });
        }
    }
}

#[test]
fn rotary_gradients_match() {
    let x = random([2, 9, 3, 8]);
    assert_same(|device| {
        let x = leaf::<4>(&x, device);
        let (cos, sin) = Rotary::new(&[1.0, 0.5, 0.1, 0.01], 12, device, DType::F32).range(2, 9);
        finish(rotate(x.clone().swap_dims(1, 2), cos, sin), gradients!(x))
    });
}

#[test]
fn gradients_of_repeated_rows_add_up() {
    let table = random([6, 5]);
    assert_same(|device| {
        let table = leaf::<2>(&table, device);
        let ids = Tensor::<1, Int>::from_data([3, 0, 3, 5, 3], device);
        finish(gather_rows(table.clone(), ids), gradients!(table))
    });
}

#[test]
fn cross_entropy_gradients_match() {
    let logits = random([9, 37]);
    assert_same(|device| {
        let logits = leaf::<2>(&logits, device);
        finish(cross_entropy(logits.clone(), &[0, 36, 5, 5, 17, 1, 2, 3, 4], 0.25), gradients!(logits))
    });
    let device = &devices()[0];
    let logits = Tensor::<2>::from_data([[0.0, 0.0, 0.0, 0.0]], device);
    assert!((values(cross_entropy(logits, &[2], 1.0))[0] - 4.0_f32.ln()).abs() < 1e-6);
}
