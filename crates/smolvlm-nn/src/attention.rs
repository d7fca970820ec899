//! Scaled dot-product attention.

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, module};

/// Attention mask: the keys that each query attends to.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a forward pass has a single mask; boxing it would gain nothing")]
pub enum AttentionMask {
    /// No mask: every query attends to all keys.
    None,
    /// Causal mask: query `i` of `Tq` attends to key `j` of `Tk` when `j - i <= Tk - Tq`. The last query attends to all
    /// keys, so cached keys come before the new ones.
    Causal,
    /// True where the key is masked for the query: `[B, 1, Tq, Tk]`, `[B, 1, 1, Tk]` or another shape that broadcasts
    /// to it. Every query must attend to at least one key.
    Hidden(Tensor<4, Bool>),
}

/// Scaled dot-product attention, `softmax(q k^T / sqrt(head_dim) + mask) v`, with softmax in f32. With fewer key than
/// query heads (GQA, Ainslie et al. 2023, arXiv 2305.13245), query head `i` uses key head `i / (heads / kv_heads)`.
///
/// # Shapes
///
/// `q` `[B, heads, Tq, head_dim]`, `k` and `v` `[B, kv_heads, Tk, head_dim]`; the result has the shape of `q`.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: &AttentionMask) -> Tensor<4> {
    #[cfg(feature = "autodiff")]
    if let Some(out) = crate::autodiff::attention(&q, &k, &v, mask) {
        return out;
    }
    let native = shares_key_heads(&q.device());
    if q.dims()[1] == k.dims()[1] || native { equal_heads(q, k, v, mask) } else { grouped(q, k, v, mask) }
}

/// Grouped-query attention for backends that require equal numbers of query and key heads.
fn grouped(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: &AttentionMask) -> Tensor<4> {
    let ([rows, heads, queries, width], [_, kv_heads, keys, _]) = (q.dims(), k.dims());
    let group = heads / kv_heads;
    if queries == 1 {
        // When decoding, the heads of a group become queries of their key head, so the cache is not copied.
        let mask = match mask {
            AttentionMask::Hidden(hidden) => AttentionMask::Hidden(hidden.clone().expand([rows, 1, group, keys])),
            AttentionMask::None | AttentionMask::Causal => AttentionMask::None,
        };
        let out = equal_heads(q.reshape([rows, kv_heads, group, width]), k, v, &mask);
        return out.reshape([rows, heads, 1, width]);
    }
    let repeat = |x: Tensor<4>| {
        let x = x.unsqueeze_dim::<5>(2).expand([rows, kv_heads, group, keys, width]);
        x.reshape([rows, heads, keys, width])
    };
    equal_heads(q, repeat(k), repeat(v), mask)
}

/// Whether the backend's attention supports fewer key than query heads. Flex does; the generic implementation, which
/// the others use or fall back to, multiplies head by head and panics.
#[cfg(feature = "flex")]
fn shares_key_heads(device: &Device) -> bool {
    // Burn's autodiff graph records the generic attention.
    *device == Device::flex() && !device.is_autodiff()
}

#[cfg(not(feature = "flex"))]
fn shares_key_heads(_: &Device) -> bool {
    false
}

/// The backend's attention, for equal numbers of query and key heads.
fn equal_heads(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: &AttentionMask) -> Tensor<4> {
    #[cfg(feature = "cubecl")]
    if let Some(out) = crate::gpu::prompt_attention(&q, &k, &v, mask) {
        return out;
    }
    // The scale stays unset: backends use their fast paths only for the default, 1 / sqrt(head_dim).
    let options = AttentionModuleOptions { is_causal: matches!(mask, AttentionMask::Causal), ..Default::default() };
    let hidden = match mask {
        AttentionMask::Hidden(hidden) => Some(hidden.clone()),
        AttentionMask::None | AttentionMask::Causal => None,
    };
    module::attention(q, k, v, hidden, None, options)
}

#[cfg(test)]
mod tests {
    use super::{AttentionMask, attention, grouped};
    use burn::tensor::{Bool, DType, Device, Distribution, Tensor, TensorData};

    /// Reference implementation in f64, query by query, straight from the definition.
    fn reference(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, sees: impl Fn(usize, usize, usize) -> bool) -> Vec<f64> {
        let values = |t: &Tensor<4>| t.to_data().try_to_vec::<f32>().unwrap();
        let ([batch, heads, tq, dim], [_, kv_heads, tk, _]) = (q.dims(), k.dims());
        let (q, k, v) = (values(q), values(k), values(v));
        let mut out = Vec::new();
        for b in 0..batch {
            for h in 0..heads {
                let kv = h / (heads / kv_heads);
                for i in 0..tq {
                    let query = &q[((b * heads + h) * tq + i) * dim..][..dim];
                    let row = |j: usize| ((b * kv_heads + kv) * tk + j) * dim;
                    let score = |j: usize| {
                        let dot: f64 = (0..dim).map(|d| f64::from(query[d]) * f64::from(k[row(j) + d])).sum();
                        if sees(b, i, j) { (dot / (dim as f64).sqrt()).exp() } else { 0.0 }
                    };
                    let weights: Vec<f64> = (0..tk).map(score).collect();
                    let total: f64 = weights.iter().sum();
                    let value = |d: usize| (0..tk).map(|j| weights[j] / total * f64::from(v[row(j) + d])).sum();
                    out.extend((0..dim).map(value).collect::<Vec<f64>>());
                }
            }
        }
        out
    }

    fn random(shape: [usize; 4]) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn assert_close(found: Tensor<4>, wanted: &[f64]) {
        let found = found.into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} instead of {wanted}");
        }
    }

    #[test]
    fn attention_matches_the_reference_for_every_mask() {
        // The last shape is above the size at which the flex backend switches its algorithm.
        for (batch, heads, kv_heads, tq, tk) in
            [(1, 4, 4, 5, 5), (2, 6, 2, 3, 9), (1, 3, 1, 1, 17), (1, 2, 1, 500, 600)]
        {
            let (q, k, v) =
                (random([batch, heads, tq, 8]), random([batch, kv_heads, tk, 8]), random([batch, kv_heads, tk, 8]));
            let check = |mask: AttentionMask, wanted: &[f64]| {
                // Both implementations of grouped heads, whichever this backend uses.
                assert_close(attention(q.clone(), k.clone(), v.clone(), &mask), wanted);
                assert_close(grouped(q.clone(), k.clone(), v.clone(), &mask), wanted);
            };
            check(AttentionMask::None, &reference(&q, &k, &v, |_, _, _| true));
            check(AttentionMask::Causal, &reference(&q, &k, &v, |_, i, j| j + tq <= i + tk));
            let sees = |b: usize, i: usize, j: usize| j % 3 != b % 3 || j == i;
            let hidden = |(b, i, j)| !sees(b, i, j);
            let bits: Vec<bool> = (0..batch)
                .flat_map(|b| (0..tq).flat_map(move |i| (0..tk).map(move |j| (b, i, j))))
                .map(hidden)
                .collect();
            let hidden = Tensor::<4, Bool>::from_data(TensorData::new(bits, [batch, 1, tq, tk]), &Device::flex());
            check(AttentionMask::Hidden(hidden), &reference(&q, &k, &v, sees));
        }
    }

    #[test]
    fn attention_keeps_half_precision() {
        let x = random([1, 2, 4, 8]).cast(DType::BF16);
        assert_eq!(attention(x.clone(), x.clone(), x, &AttentionMask::Causal).dtype(), DType::BF16);
    }
}
