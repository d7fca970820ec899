//! Scaled dot-product attention in blocks of queries. The backward pass recomputes the scores (FlashAttention, Dao et
//! al. 2022, arXiv 2205.14135), so that no layer stores a score matrix.

use super::{Recorded, record, recorded, tensor};
use crate::AttentionMask;
use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;
use smolvlm_kernels::cpu::backward::{MatrixView, gemm, softmax_backward, softmax_from_log_sums, softmax_rows};
use std::sync::Arc;

/// Queries per block; only their scores are in memory.
const BLOCK: usize = 64;

/// See [`attention`](crate::attention).
pub(crate) fn attention(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: &AttentionMask) -> Option<Tensor<4>> {
    let ([batch, heads, queries, width], [_, kv_heads, keys, _]) = (q.dims(), k.dims());
    let (q, k, v) = (recorded(q)?, recorded(k)?, recorded(v)?);
    let sizes = Sizes { batch, heads, kv_heads, queries, keys, width };
    let mask = match mask {
        AttentionMask::None => Mask::All,
        AttentionMask::Causal => Mask::Causal,
        AttentionMask::Hidden(hidden) => {
            let hidden = hidden.clone().expand([batch, 1, queries, keys]).into_data();
            Mask::Keys(hidden.iter::<bool>().map(|hidden| !hidden).collect())
        }
    };
    let part = |x: &Recorded| Heads::of(x.primitive().clone());
    let mut state = State { sizes, q: part(&q), k: part(&k), v: part(&v), mask, out: None, log_sums: Arc::default() };
    let (out, log_sums) = state.forward();
    let out = sizes.tensor(out, queries, heads);
    state.out = Some(Heads::of(out.clone()));
    state.log_sums = Arc::new(log_sums);
    Some(record(Step, [q.node(), k.node(), v.node()], state, out))
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    heads: usize,
    kv_heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
}

impl Sizes {
    /// Creates a tensor `[batch, heads, tokens, width]` from values in token-major order, the order of the adjacent
    /// layers.
    fn tensor(&self, values: Vec<f32>, tokens: usize, heads: usize) -> FlexTensor {
        tensor(values, [self.batch, tokens, heads, self.width]).permute(&[0, 2, 1, 3])
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }
}

/// Strided view of the heads of a tensor `[batch, heads, tokens, width]`.
#[derive(Debug, Clone)]
struct Heads {
    tensor: FlexTensor,
    strides: [usize; 3],
}

impl Heads {
    fn of(tensor: FlexTensor) -> Self {
        let ordered = |layout: &Layout| layout.strides()[3] == 1 && layout.strides().iter().all(|&stride| stride >= 0);
        let tensor = if ordered(tensor.layout()) { tensor } else { tensor.to_contiguous() };
        let strides = tensor.layout().strides();
        let strides = [strides[0], strides[1], strides[2]].map(|stride| stride.unsigned_abs());
        Self { tensor, strides }
    }

    /// Tokens `start..start + tokens` of a head.
    fn view(&self, batch: usize, head: usize, start: usize, [tokens, width]: [usize; 2]) -> MatrixView<'_> {
        let offset = self.tensor.layout().start_offset()
            + batch * self.strides[0]
            + head * self.strides[1]
            + start * self.strides[2];
        MatrixView::new(&self.tensor.storage::<f32>()[offset..], [tokens, width], [self.strides[2], 1])
    }
}

#[derive(Debug, Clone)]
enum Mask {
    All,
    Causal,
    /// Keys that each query attends to, `[batch, queries, keys]`.
    Keys(Arc<[bool]>),
}

#[derive(Debug)]
struct Step;

#[derive(Debug, Clone)]
struct State {
    sizes: Sizes,
    q: Heads,
    k: Heads,
    v: Heads,
    mask: Mask,
    out: Option<Heads>,
    /// Log-sum-exp of each query's scores, `[batch, heads, queries]`.
    log_sums: Arc<Vec<f32>>,
}

impl State {
    /// Number of leading keys that contains all keys any query before `end` attends to.
    fn keys_before(&self, end: usize) -> usize {
        let Sizes { queries, keys, .. } = self.sizes;
        if matches!(self.mask, Mask::Causal) { (end + keys).saturating_sub(queries).clamp(1, keys) } else { keys }
    }

    /// Computes the scores of a block of queries; those of masked keys are `f32::MIN`.
    fn scores(&self, [batch, head]: [usize; 2], [start, rows]: [usize; 2], keys: usize, scores: &mut [f32]) {
        let Sizes { heads, kv_heads, queries, keys: all_keys, width, .. } = self.sizes;
        let kv = head / (heads / kv_heads);
        let (q, k) = (self.q.view(batch, head, start, [rows, width]), self.k.view(batch, kv, 0, [keys, width]));
        gemm(scores, keys, q, k.transposed(), self.sizes.scale(), false);
        for (row, scores) in scores.chunks_exact_mut(keys).enumerate() {
            let query = start + row;
            match &self.mask {
                Mask::All => {}
                Mask::Causal => {
                    let end = (query + 1 + all_keys).saturating_sub(queries).min(keys);
                    scores[end..].fill(f32::MIN);
                }
                Mask::Keys(seen) => {
                    let seen = &seen[(batch * queries + query) * all_keys..][..keys];
                    scores.iter_mut().zip(seen).filter(|(_, seen)| !**seen).for_each(|(score, _)| *score = f32::MIN);
                }
            }
        }
    }

    /// Computes the outputs in token-major order, and the log-sum-exp of each query's scores.
    fn forward(&self) -> (Vec<f32>, Vec<f32>) {
        let Sizes { batch, heads, kv_heads, queries, width, .. } = self.sizes;
        let stride = heads * width;
        let mut out = vec![0.0; batch * queries * stride];
        let mut log_sums = vec![0.0; batch * heads * queries];
        let rows = out.par_chunks_mut(queries * stride).zip(log_sums.par_chunks_mut(heads * queries));
        rows.enumerate().for_each(|(batch, (out, log_sums))| {
            let mut buffer = vec![0.0; BLOCK.min(queries) * self.sizes.keys];
            for (head, log_sums) in log_sums.chunks_exact_mut(queries).enumerate() {
                let kv = head / (heads / kv_heads);
                for (block, log_sums) in log_sums.chunks_mut(BLOCK).enumerate() {
                    let (start, rows) = (block * BLOCK, log_sums.len());
                    let keys = self.keys_before(start + rows);
                    let scores = &mut buffer[..rows * keys];
                    self.scores([batch, head], [start, rows], keys, scores);
                    softmax_rows(scores, log_sums);
                    let v = self.v.view(batch, kv, 0, [keys, width]);
                    let out = &mut out[start * stride + head * width..];
                    gemm(out, stride, MatrixView::contiguous(scores, [rows, keys]), v, 1.0, false);
                }
            }
        });
        (out, log_sums)
    }

    /// Computes the gradients of queries, keys and values, in token-major order.
    fn backward(&self, d_out: &Heads) -> [Vec<f32>; 3] {
        let Sizes { batch, heads, kv_heads, queries, keys, width } = self.sizes;
        let (q_stride, kv_stride, scale) = (heads * width, kv_heads * width, self.sizes.scale());
        let mut dq = vec![0.0; batch * queries * q_stride];
        let mut dk = vec![0.0; batch * keys * kv_stride];
        let mut dv = vec![0.0; batch * keys * kv_stride];
        let parts = dq
            .par_chunks_mut(queries * q_stride)
            .zip(dk.par_chunks_mut(keys * kv_stride))
            .zip(dv.par_chunks_mut(keys * kv_stride));
        parts.enumerate().for_each(|(batch, ((dq, dk), dv))| {
            let size = BLOCK.min(queries) * keys;
            let (mut weights, mut d_scores) = (vec![0.0; size], vec![0.0; size]);
            let mut means = vec![0.0; BLOCK.min(queries)];
            for head in 0..heads {
                let kv = head / (heads / kv_heads);
                for start in (0..queries).step_by(BLOCK) {
                    let rows = BLOCK.min(queries - start);
                    let keys = self.keys_before(start + rows);
                    let (weights, d_scores) = (&mut weights[..rows * keys], &mut d_scores[..rows * keys]);
                    self.scores([batch, head], [start, rows], keys, weights);
                    let log_sums = &self.log_sums[(batch * heads + head) * queries + start..][..rows];
                    softmax_from_log_sums(weights, log_sums);
                    let d_view = d_out.view(batch, head, start, [rows, width]);
                    let weight_view = MatrixView::contiguous(weights, [rows, keys]);
                    gemm(&mut dv[kv * width..], kv_stride, weight_view.transposed(), d_view, 1.0, true);
                    gemm(d_scores, keys, d_view, self.v.view(batch, kv, 0, [keys, width]).transposed(), 1.0, false);
                    if let Some(out) = &self.out {
                        let out = out.view(batch, head, start, [rows, width]);
                        for (row, mean) in means[..rows].iter_mut().enumerate() {
                            *mean = out.row(row).iter().zip(d_view.row(row)).map(|(out, d_out)| out * d_out).sum();
                        }
                    }
                    softmax_backward(weights, &means[..rows], d_scores);
                    let d_score_view = MatrixView::contiguous(d_scores, [rows, keys]);
                    let k = self.k.view(batch, kv, 0, [keys, width]);
                    gemm(&mut dq[start * q_stride + head * width..], q_stride, d_score_view, k, scale, false);
                    let q = self.q.view(batch, head, start, [rows, width]);
                    gemm(&mut dk[kv * width..], kv_stride, d_score_view.transposed(), q, scale, true);
                }
            }
        });
        [dq, dk, dv]
    }
}

impl Backward<Flex, 3> for Step {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Sizes { heads, kv_heads, queries, keys, .. } = ops.state.sizes;
        let d_out = Heads::of(grads.consume::<Flex>(&ops.node));
        let gradients = ops.state.backward(&d_out);
        let shapes = [(queries, heads), (keys, kv_heads), (keys, kv_heads)];
        for ((parent, gradient), (tokens, heads)) in ops.parents.into_iter().zip(gradients).zip(shapes) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, ops.state.sizes.tensor(gradient, tokens, heads));
            }
        }
    }
}
