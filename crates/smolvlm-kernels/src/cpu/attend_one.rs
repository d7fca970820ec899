//! Attention of one query a sequence, as decoding needs it: keys and values are read where they lie, once.

use super::attention::{AttentionShape, Heads, Visible};
use super::isa::vectorised;
use super::matrix::Element;
use super::output::Output;
use super::pool::Pool;
use super::softmax::softmax;

/// What [`attention`](super::attention::attention) computes, for one query a sequence.
///
/// # Panics
///
/// When there are more queries, or the sizes do not fit.
pub fn attend_one<E: Element>(
    pool: &Pool,
    shape: AttentionShape,
    [q, k, v]: [Heads<'_, E>; 3],
    visible: Visible<'_>,
    out: &Output<'_>,
) {
    let AttentionShape { batch, heads, kv_heads, width, queries, keys } = shape;
    assert!(queries == 1 && kv_heads > 0 && heads % kv_heads == 0, "one query a sequence");
    assert!(!matches!(visible, Visible::Keys(_)), "a decoder hides no single keys");
    let scale = std::f32::consts::LOG2_E / (width as f32).sqrt();
    pool.run(batch * heads, |task| {
        let (batch, head) = (task / heads, task % heads);
        let kv_head = head / (heads / kv_heads);
        let seen = shape.range(&visible, batch, 0);
        let query: Vec<f32> = q.of(batch, head, 0)[..width].iter().map(|value| value.wide()).collect();
        let count = seen.len();
        let mut scores = vec![0.0; count];
        let mut weights = vec![0.0_f32; count];
        dots(&query, k.of(batch, kv_head, seen.start), k.token, &mut scores);
        let total = softmax(&scores, scale, &mut weights);
        let mut sums = vec![0.0; width];
        weighted(&weights, v.of(batch, kv_head, seen.start), v.token, &mut sums);
        let factor = 1.0 / total;
        sums.iter_mut().for_each(|sum| *sum *= factor);
        debug_assert!(seen.end <= keys);
        #[expect(unsafe_code, reason = "each task has its own sequence and head")]
        // SAFETY: this row and these columns are written by this task alone.
        unsafe {
            out.write([batch, head * width], [1, width], &sums, width);
        }
    });
}

vectorised! {
    /// Products of a query with keys that are `token` values apart.
    fn dots<E: Element>(query: &[f32], keys: &[E], token: usize, scores: &mut [f32]) {
        const LANES: usize = 16;
        let width = query.len();
        let (query_chunks, query_rest) = query.as_chunks::<LANES>();
        for (number, score) in scores.iter_mut().enumerate() {
            let key = &keys[number * token..][..width];
            let (key_chunks, key_rest) = key.as_chunks::<LANES>();
            let mut sums = [0.0_f32; LANES];
            for (query, key) in query_chunks.iter().zip(key_chunks) {
                for lane in 0..LANES {
                    let key = key[lane].wide();
                    sums[lane] = if FUSED { query[lane].mul_add(key, sums[lane]) } else { query[lane] * key + sums[lane] };
                }
            }
            let mut half = LANES / 2;
            while half > 0 {
                for lane in 0..half {
                    sums[lane] += sums[lane + half];
                }
                half /= 2;
            }
            *score = query_rest.iter().zip(key_rest).fold(sums[0], |sum, (query, key)| sum + query * key.wide());
        }
    }
}

vectorised! {
    /// Adds weighted values, which are `token` values apart.
    fn weighted<E: Element>(weights: &[f32], values: &[E], token: usize, sums: &mut [f32]) {
        const LANES: usize = 64;
        let width = sums.len();
        let (chunks, rest) = sums.as_chunks_mut::<LANES>();
        let whole = chunks.len() * LANES;
        for (chunk, sums) in chunks.iter_mut().enumerate() {
            let mut kept = *sums;
            for (number, weight) in weights.iter().enumerate() {
                let value = &values[number * token + chunk * LANES..][..LANES];
                for lane in 0..LANES {
                    let value = value[lane].wide();
                    kept[lane] = if FUSED { weight.mul_add(value, kept[lane]) } else { weight * value + kept[lane] };
                }
            }
            *sums = kept;
        }
        for (number, weight) in weights.iter().enumerate() {
            let value = &values[number * token..][whole..width];
            for (sum, value) in rest.iter_mut().zip(value) {
                *sum += weight * value.wide();
            }
        }
    }
}
