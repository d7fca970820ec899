//! Decode attention: one query per sequence, with keys and values read once, directly from the cache.

use super::attention::{AttentionShape, Heads, KeyMask};
use super::epilogue::Epilogue;
use super::isa::vectorized;
use super::matrix::Element;
use super::micro::kernels;
use super::pool::Pool;
use super::softmax::softmax;
use bytemuck::cast_slice;

/// Computes [`attention`](super::attention::attention) for one query per sequence.
///
/// # Panics
///
/// When there are more queries, or the sizes do not match.
pub fn decode_attention<E: Element>(
    pool: &Pool,
    shape: AttentionShape,
    [q, k, v]: [Heads<'_, E>; 3],
    mask: KeyMask<'_>,
    out: Epilogue<'_>,
) {
    let AttentionShape { batch, heads, kv_heads, width, queries, .. } = shape;
    assert!(queries == 1 && kv_heads > 0 && heads % kv_heads == 0, "one query per sequence");
    assert!(!matches!(mask, KeyMask::Keys(_)), "decode attention does not support masks of single keys");
    out.check(batch, heads * width);
    let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
    // A task with all queries of a key head reads keys and values from memory once. With more threads than key heads,
    // parallelism matters more.
    let group = heads / kv_heads;
    let queries_per_task = if batch * kv_heads >= pool.threads() { group } else { 1 };
    pool.run(batch * heads / queries_per_task, |task| {
        let (batch, first) = (task * queries_per_task / heads, task * queries_per_task % heads);
        let seen = shape.range(&mask, batch, 0);
        let kv_head = first / group;
        let (keys, values) = (k.of(batch, kv_head, seen.start), v.of(batch, kv_head, seen.start));
        let count = seen.len();
        let mut scores = vec![0.0; count];
        let mut weights = vec![E::ZERO; queries_per_task * count];
        let mut factors = vec![0.0; queries_per_task];
        for (index, weights) in weights.chunks_exact_mut(count).enumerate() {
            dots(&q.of(batch, first + index, 0)[..width], keys, k.token, &mut scores);
            factors[index] = 1.0 / softmax(&scores, scale, weights);
        }
        let mut sums = vec![0.0; width];
        for (index, weights) in weights.chunks_exact(count).enumerate() {
            sums.fill(0.0);
            weighted_sum(weights, values, v.token, &mut sums);
            sums.iter_mut().for_each(|sum| *sum *= factors[index]);
            #[expect(unsafe_code, reason = "each task has its own sequence and heads")]
            // SAFETY: this row and these columns are written by this task only.
            unsafe {
                out.write([batch, (first + index) * width], [1, width], &sums, width);
            }
        }
    });
}

/// Dot products of a query with keys that are `token` values apart.
fn dots<E: Element>(query: &[E], keys: &[E], token: usize, scores: &mut [f32]) {
    if E::STEP == 2 {
        (kernels().dots)(cast_slice(query), cast_slice(keys), token, scores);
    } else {
        plain_dots(query, keys, token, scores);
    }
}

/// The weighted sum of value vectors that are `token` values apart.
fn weighted_sum<E: Element>(weights: &[E], values: &[E], token: usize, sums: &mut [f32]) {
    if E::STEP == 2 {
        (kernels().weighted_sum)(cast_slice(weights), cast_slice(values), token, sums);
    } else {
        plain_weighted_sum(weights, values, token, sums);
    }
}

vectorized! {
    pub(crate) fn plain_dots<E: Element>(query: &[E], keys: &[E], token: usize, scores: &mut [f32]) {
        const LANES: usize = 16;
        let width = query.len();
        let (query_chunks, query_rest) = query.as_chunks::<LANES>();
        for (number, score) in scores.iter_mut().enumerate() {
            let key = &keys[number * token..][..width];
            let (key_chunks, key_rest) = key.as_chunks::<LANES>();
            let mut sums = [0.0_f32; LANES];
            for (query, key) in query_chunks.iter().zip(key_chunks) {
                for lane in 0..LANES {
                    let (query, key) = (query[lane].wide(), key[lane].wide());
                    sums[lane] = if FUSED { query.mul_add(key, sums[lane]) } else { query * key + sums[lane] };
                }
            }
            let mut half = LANES / 2;
            while half > 0 {
                for lane in 0..half {
                    sums[lane] += sums[lane + half];
                }
                half /= 2;
            }
            *score = query_rest.iter().zip(key_rest).fold(sums[0], |sum, (query, key)| sum + query.wide() * key.wide());
        }
    }
}

vectorized! {
    pub(crate) fn plain_weighted_sum<E: Element>(weights: &[E], values: &[E], token: usize, sums: &mut [f32]) {
        const LANES: usize = 64;
        let width = sums.len();
        let (chunks, rest) = sums.as_chunks_mut::<LANES>();
        let whole = chunks.len() * LANES;
        for (chunk, sums) in chunks.iter_mut().enumerate() {
            let mut kept = *sums;
            for (number, weight) in weights.iter().enumerate() {
                let (weight, value) = (weight.wide(), &values[number * token + chunk * LANES..][..LANES]);
                for lane in 0..LANES {
                    let value = value[lane].wide();
                    kept[lane] = if FUSED { weight.mul_add(value, kept[lane]) } else { weight * value + kept[lane] };
                }
            }
            *sums = kept;
        }
        for (number, weight) in weights.iter().enumerate() {
            let (weight, value) = (weight.wide(), &values[number * token..][whole..width]);
            for (sum, value) in rest.iter_mut().zip(value) {
                *sum += weight * value.wide();
            }
        }
    }
}
