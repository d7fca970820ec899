//! Attention of many queries without their scores in memory.

use super::tensor::{client, cube_tensor, mapped};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Tensor};
use burn_cubecl::kernel::attention::{AttentionStrategy, attention};
use cubek::attention::forward::routines::blackbox_accelerated::BlackboxAcceleratedStrategy;

/// Queries from which on it is worth it.
const LEAST: usize = 32;

/// The attention of [`attention`](crate::attention()) with as many heads of keys as of queries, each query seeing all keys, or
/// with `causal` those before it. None where that is no faster, or less exact: on other devices, for few queries, and in f32,
/// since products are of f16 (Dao et al. 2022, arXiv 2205.14135).
pub fn flash_attention(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, causal: bool) -> Option<Tensor<4>> {
    let ([_, _, queries, _], [_, _, keys, _]) = (q.dims(), k.dims());
    let half = matches!(q.dtype(), DType::BF16 | DType::F16);
    if !half || queries < LEAST || (causal && queries != keys) || client(&q.device()).is_none() {
        return None;
    }
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
