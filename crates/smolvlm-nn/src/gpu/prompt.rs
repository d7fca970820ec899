//! Attention of many queries, for prompts and images.

use super::ops::softmax;
use super::tensor::{client, cube_tensor, mapped};
use crate::AttentionMask;
use crate::linear::matmul;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::kernel::attention::{AttentionStrategy, attention};
use cubek::attention::forward::routines::blackbox_accelerated::BlackboxAcceleratedStrategy;

/// Minimum number of queries for which [`flash`] is faster.
const MIN_FLASH_QUERIES: usize = 32;
/// Maximum number of bytes of attention scores in a recording.
const MAX_RECORDED_SCORES: usize = 32 << 20;

/// Computes [`attention`](crate::attention()) with equal numbers of query and key heads on GPUs; `None` where Burn's own
/// implementation is as good.
pub fn prompt_attention(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: &AttentionMask) -> Option<Tensor<4>> {
    let ([_, _, queries, _], [_, _, keys, _]) = (q.dims(), k.dims());
    client(&q.device())?;
    let suits_flash = has_flash(&q.device(), q.dtype()) && queries >= MIN_FLASH_QUERIES;
    let out = match mask {
        AttentionMask::None if suits_flash => flash(q, k, v, false),
        AttentionMask::Causal if suits_flash && queries == keys => flash(q, k, v, true),
        _ => None,
    };
    out.or_else(|| scored(q, k, v, mask))
}

/// Whether layers with this number of heads on so many tokens take little memory besides the values of the tokens: a
/// recording keeps all memory that it uses.
pub fn suits_recording(device: &Device, dtype: DType, heads: usize, tokens: usize) -> bool {
    // Scores and their softmax, which FlashAttention does not keep.
    has_flash(device, dtype) || 2 * heads * tokens * tokens * dtype.size() <= MAX_RECORDED_SCORES
}

/// Whether [`flash`] is used.
fn has_flash(device: &Device, dtype: DType) -> bool {
    dtype != DType::F32 && client(device).is_some_and(|client| !client.features().matmul.cmma.is_empty())
}

/// Attention with the score matrix in memory and, in f32, without tensor cores, which round.
fn scored(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: &AttentionMask) -> Option<Tensor<4>> {
    let scores = matmul(q.clone(), k.clone().swap_dims(2, 3));
    let scale = 1.0 / (q.dims()[3] as f32).sqrt();
    let weights = match mask {
        AttentionMask::None => softmax(&scores, scale, false)?,
        AttentionMask::Causal => softmax(&scores, scale, true)?,
        AttentionMask::Hidden(hidden) => {
            let shape = scores.dims();
            softmax(&scores.mask_fill(hidden.clone().expand(shape), f32::NEG_INFINITY), scale, false)?
        }
    };
    Some(matmul(weights, v.clone()))
}

/// FlashAttention, which keeps no score matrix in memory (Dao et al. 2022, arXiv 2205.14135), with f16 products.
fn flash(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, causal: bool) -> Option<Tensor<4>> {
    let options = AttentionModuleOptions { is_causal: causal, ..Default::default() };
    let strategy = BlackboxAcceleratedStrategy { num_planes: 4, seq_q: 1, seq_kv: 1 };
    let strategy = AttentionStrategy::FlashBlackboxAccelerated(strategy);
    let (k, v) = (cube_tensor(k.clone()), cube_tensor(v.clone()));
    let mut done = true;
    let out = mapped(q.clone(), |q| {
        attention(q.clone(), k, v, None, None, options, strategy).unwrap_or_else(|_| {
            done = false;
            q
        })
    });
    done.then_some(out)
}
