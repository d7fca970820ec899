//! Attention of many queries, for prompts and images.

use super::matmul::try_matmul;
use super::tensor::{client, cube_tensor, mapped};
use crate::AttentionMask;
use burn::tensor::activation::softmax;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, DType, Tensor, TensorData};
use burn_cubecl::kernel::attention::{AttentionStrategy, attention};
use cubek::attention::forward::routines::blackbox_accelerated::BlackboxAcceleratedStrategy;

/// Minimum number of queries for which [`flash`] is faster.
const MIN_FLASH_QUERIES: usize = 32;

/// Computes [`attention`](crate::attention()) with equal numbers of query and key heads on GPUs with tensor cores;
/// `None` where Burn's own implementation is as good.
pub fn prompt_attention(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: &AttentionMask) -> Option<Tensor<4>> {
    let ([_, _, queries, _], [_, _, keys, _]) = (q.dims(), k.dims());
    client(&q.device())?;
    match (q.dtype(), mask) {
        (DType::F32, _) => exact(q, k, v, mask),
        (_, AttentionMask::None) if queries >= MIN_FLASH_QUERIES => flash(q, k, v, false),
        (_, AttentionMask::Causal) if queries >= MIN_FLASH_QUERIES && queries == keys => flash(q, k, v, true),
        _ => None,
    }
}

/// Attention with the score matrix in memory, and without tensor cores, which round f32.
fn exact(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: &AttentionMask) -> Option<Tensor<4>> {
    let ([_, _, queries, width], [_, _, keys, _]) = (q.dims(), k.dims());
    let scores = try_matmul(q, &k.clone().swap_dims(2, 3))? / (width as f32).sqrt();
    let hidden = match mask {
        AttentionMask::None => None,
        AttentionMask::Hidden(hidden) => Some(hidden.clone()),
        AttentionMask::Causal => {
            let hidden = (0..queries).flat_map(|query| (0..keys).map(move |key| key + queries > query + keys));
            let hidden = TensorData::new(hidden.collect::<Vec<bool>>(), [1, 1, queries, keys]);
            Some(Tensor::<4, Bool>::from_data(hidden, &q.device()))
        }
    };
    let scores = match hidden {
        Some(hidden) => {
            let shape = scores.dims();
            scores.mask_fill(hidden.expand(shape), f32::NEG_INFINITY)
        }
        None => scores,
    };
    try_matmul(&softmax(scores, 3), v)
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
