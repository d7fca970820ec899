//! Attention of many queries.

use super::Rng;
use crate::cpu::{AttentionScratch, AttentionShape, Element, Epilogue, Heads, KeyMask, Matrix, Pool, attention};
use half::bf16;

/// Whether a query attends to a key: sequence, query, key.
type Sees<'a> = dyn Fn(usize, usize, usize) -> bool + 'a;

/// Reference implementation in f64, query by query, straight from the definition.
fn reference<E: Element>(shape: AttentionShape, [q, k, v]: [Heads<'_, E>; 3], sees: &Sees<'_>) -> Vec<f64> {
    let AttentionShape { batch, heads, kv_heads, width, queries, keys } = shape;
    let at = |h: &Heads<'_, E>, b: usize, head: usize, token: usize| -> Vec<f64> {
        h.of(b, head, token)[..width].iter().map(|value| f64::from(value.wide())).collect()
    };
    let mut out = Vec::new();
    for b in 0..batch {
        for query in 0..queries {
            for head in 0..heads {
                let (own, kv) = (at(&q, b, head, query), head / (heads / kv_heads));
                let weights: Vec<f64> = (0..keys)
                    .map(|key| {
                        let dot: f64 = own.iter().zip(at(&k, b, kv, key)).map(|(a, b)| a * b).sum();
                        if sees(b, query, key) { (dot / (width as f64).sqrt()).exp() } else { 0.0 }
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                let mut sums = vec![0.0; width];
                for (key, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
                    sums.iter_mut().zip(at(&v, b, kv, key)).for_each(|(sum, value)| *sum += weight / total * value);
                }
                out.extend(sums);
            }
        }
    }
    out
}

fn check<E: Element>(tolerance: f64) {
    let (pool, mut rng) = (Pool::new(2).unwrap(), Rng::new(11));
    let mut scratch = AttentionScratch::default();
    let shapes =
        [(1, 4, 4, 5, 5, 8), (2, 6, 2, 3, 9, 16), (1, 3, 1, 1, 17, 64), (1, 2, 1, 230, 300, 72), (3, 4, 2, 1, 33, 20)];
    for (batch, heads, kv_heads, queries, keys, width) in shapes {
        let shape = AttentionShape { batch, heads, kv_heads, width, queries, keys };
        let mut random = |count: usize| -> Vec<E> { (0..count).map(|_| E::narrow(3.0 * rng.value())).collect() };
        // Queries in token-major order; keys and values in head-major order with spare capacity, as in a cache.
        let room = keys + 3;
        let (q, k, v) = (
            random(batch * queries * heads * width),
            random(batch * kv_heads * room * width),
            random(batch * kv_heads * room * width),
        );
        let q = Heads { values: &q, start: 0, batch: queries * heads * width, token: heads * width, head: width };
        let cached =
            |values| Heads { values, start: 0, batch: kv_heads * room * width, token: width, head: room * width };
        let qkv = [q, cached(&k), cached(&v)];
        let hidden: Vec<bool> = (0..batch * keys).map(|index| index % keys % 3 != 1 || index % 7 == 0).collect();
        let masks: [(KeyMask<'_>, &Sees<'_>); 2] =
            [(KeyMask::All, &|_, _, _| true), (KeyMask::Keys(&hidden), &|b, _, key| hidden[b * keys + key])];
        for (visible, sees) in masks {
            let wanted = reference(shape, qkv, sees);
            let assert_close = |out: &Matrix<f32>| {
                for (index, wanted) in wanted.iter().enumerate() {
                    let found = out.row(index / (heads * width))[index % (heads * width)];
                    assert!(
                        (f64::from(found) - wanted).abs() < tolerance,
                        "{shape:?} {visible:?}: {found}, not {wanted}"
                    );
                }
            };
            let mut out = Matrix::new();
            out.resize(batch * queries, heads * width);
            attention(&pool, shape, qkv, visible, &mut scratch, Epilogue::store(&mut out));
            assert_close(&out);
        }
    }
}

#[test]
fn f32_attention_matches_the_reference() {
    check::<f32>(2e-5);
}

#[test]
fn bf16_attention_matches_the_reference() {
    // Weights are rounded to 8 bits, values are up to 3.
    check::<bf16>(0.015);
}
