//! The decoder on packed weights, with buffers that are reused from layer to layer.

use crate::cache::{KvCache, LayerCache};
use crate::layer::DecoderLayer;
use crate::{Error, TextModel, TextOutput};
use burn::tensor::{DType, Tensor};
use half::bf16;
use smolvlm_kernels::Format;
use smolvlm_kernels::cpu::{
    AttentionScratch, AttentionShape, Epilogue, Heads, KeyMask, Matrix, PackedLhs, Pool, attention, decode_attention,
    rms_norm, rotate,
};
use smolvlm_nn::{HostValues, TensorElement, matrix_of, modify, tensor_of};
use smolvlm_nn::{Linear, RmsNorm, gated_linears, linears, packed_format};

impl TextModel {
    /// The linear layers with their paths in the model.
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let layers = self.layers.iter_mut().enumerate().flat_map(|(index, layer)| {
            let (attention, mlp) = (&mut layer.self_attn, &mut layer.mlp);
            let named = [
                ("self_attn.q_proj", &mut attention.q_proj),
                ("self_attn.k_proj", &mut attention.k_proj),
                ("self_attn.v_proj", &mut attention.v_proj),
                ("self_attn.o_proj", &mut attention.o_proj),
                ("mlp.gate_proj", &mut mlp.gate_proj),
                ("mlp.up_proj", &mut mlp.up_proj),
                ("mlp.down_proj", &mut mlp.down_proj),
            ];
            named.map(|(name, linear)| (format!("layers.{index}.{name}"), linear))
        });
        layers.collect()
    }

    /// The format of the layers' weights if all of them are packed.
    pub(crate) fn packed(&self) -> Option<Format> {
        packed_format(self.layers.iter().flat_map(|DecoderLayer { self_attn, mlp, .. }| {
            let attention = [&self_attn.q_proj, &self_attn.k_proj, &self_attn.v_proj, &self_attn.o_proj];
            attention.into_iter().chain([&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj])
        }))
    }
}

/// Type of keys and values: bf16 unless the weights are f32.
pub(crate) fn cache_type(format: Format) -> DType {
    match format {
        Format::F32 => DType::F32,
        Format::Bf16 | Format::Q8 | Format::Q4 => DType::BF16,
    }
}

/// Implements [`TextModel::forward`] for inputs that fit the cache's rows and the model.
pub(crate) fn forward(
    model: &TextModel,
    format: Format,
    embeds: Tensor<3>,
    cache: &mut KvCache,
    hidden_states: bool,
) -> Result<TextOutput, Error> {
    cache.check_room(embeds.dims()[1])?;
    Ok(match cache_type(format) {
        DType::F32 => run::<f32>(model, format, embeds, cache, hidden_states),
        _ => run::<bf16>(model, format, embeds, cache, hidden_states),
    })
}

fn run<E: TensorElement>(
    model: &TextModel,
    format: Format,
    embeds: Tensor<3>,
    cache: &mut KvCache,
    hidden_states: bool,
) -> TextOutput {
    let shape = embeds.dims();
    let [rows, tokens, hidden] = shape;
    let pool = Pool::current();
    let positions = (0..rows).flat_map(|row| (0..tokens).map(move |token| (row, token)));
    let start = cache.len();
    let [cos, sin] = cache.rotary.host();
    let step = Step {
        pool: &pool,
        rows,
        tokens,
        start,
        padding: &cache.padding.clone(),
        capacity: cache.capacity,
        positions: positions.map(|(row, token)| cache.position(row, start + token)).collect(),
        cos,
        sin,
    };
    let mut x = matrix_of(embeds);
    let mut buffers = Buffers::<E>::new(format);
    let mut kept = Vec::new();
    for (layer, cache) in model.layers.iter().zip(&mut cache.layers) {
        if hidden_states {
            kept.push(tensor_of(&x, shape));
        }
        layer.run(&step, &mut x, cache, &mut buffers);
    }
    cache.advance(tokens);
    let norm = Norm::of(&model.norm);
    let mut out = Matrix::new();
    out.fill(&pool, rows * tokens, hidden, |row, out| norm.apply(x.row(row), out));
    let out: Tensor<3> = tensor_of(&out, shape);
    if hidden_states {
        kept.push(out.clone());
    }
    TextOutput { last_hidden_state: out, hidden_states: kept }
}

/// Parameters of a forward pass that all layers share.
struct Step<'a> {
    pool: &'a Pool,
    rows: usize,
    tokens: usize,
    /// Tokens already in the cache.
    start: usize,
    padding: &'a [usize],
    capacity: usize,
    /// Position of each token of each row.
    positions: Vec<usize>,
    /// `[positions, head_dim]`, with equal halves.
    cos: HostValues,
    sin: HostValues,
}

/// Buffers of intermediate results, reused from layer to layer.
struct Buffers<E> {
    normed: PackedLhs,
    attended: PackedLhs,
    inner: PackedLhs,
    /// Outputs of the query, key and value projections.
    projected: Matrix<f32>,
    /// Rotated queries.
    queries: Matrix<E>,
    scratch: AttentionScratch,
}

impl<E: TensorElement> Buffers<E> {
    fn new(format: Format) -> Self {
        let rows = || PackedLhs::new(format);
        Self {
            normed: rows(),
            attended: rows(),
            inner: rows(),
            projected: Matrix::new(),
            queries: Matrix::new(),
            scratch: AttentionScratch::default(),
        }
    }
}

/// An RMS norm with its weight in host memory.
struct Norm {
    weight: HostValues,
    eps: f32,
}

impl Norm {
    fn of(norm: &RmsNorm) -> Self {
        Self { weight: HostValues::of(norm.weight.val()), eps: norm.eps as f32 }
    }

    fn apply(&self, x: &[f32], out: &mut [f32]) {
        rms_norm(x, &self.weight, self.eps, out);
    }
}

impl DecoderLayer {
    fn run<E: TensorElement>(
        &self,
        step: &Step<'_>,
        x: &mut Matrix<f32>,
        cache: &mut LayerCache,
        buffers: &mut Buffers<E>,
    ) {
        let Buffers { normed, attended, inner, projected, queries, scratch } = buffers;
        let (pool, rows, hidden) = (step.pool, x.rows(), x.columns());
        let (attend, mlp) = (&self.self_attn, &self.mlp);
        let width = attend.head_dim;
        let (q_width, kv_width) = (attend.q_proj.outputs(), attend.k_proj.outputs());
        let shape = AttentionShape {
            batch: step.rows,
            heads: q_width / width,
            kv_heads: kv_width / width,
            width,
            queries: step.tokens,
            keys: step.start + step.tokens,
        };

        let norm = Norm::of(&self.input_layernorm);
        normed.fill(pool, rows, hidden, |row, out| norm.apply(x.row(row), out));
        projected.resize(rows, q_width + 2 * kv_width);
        let [q, k, v] = Epilogue::store(projected).split_columns([q_width, kv_width, kv_width]);
        linears(pool, normed, [(&attend.q_proj, q), (&attend.k_proj, k), (&attend.v_proj, v)]);
        step.rotate(projected, shape);
        queries.fill(pool, rows, q_width, |row, out| narrow(&projected.row(row)[..q_width], out));

        let out = attended.begin_write(rows, q_width);
        cache.keys.inplace(|keys| {
            modify::<E, 4>(keys, |keys| {
                cache.values.inplace(|values| {
                    modify::<E, 4>(values, |values| {
                        step.append(projected, shape, q_width, keys);
                        step.append(projected, shape, q_width + kv_width, values);
                        let q = Heads {
                            values: queries.values(),
                            start: 0,
                            batch: step.tokens * queries.stride(),
                            token: queries.stride(),
                            head: width,
                        };
                        let stored = |values| Heads {
                            values,
                            start: 0,
                            batch: shape.kv_heads * step.capacity * width,
                            token: width,
                            head: step.capacity * width,
                        };
                        let (qkv, visible) =
                            ([q, stored(keys), stored(values)], KeyMask::Causal { padding: step.padding });
                        if step.tokens == 1 {
                            decode_attention(pool, shape, qkv, visible, out);
                        } else {
                            attention(pool, shape, qkv, visible, scratch, out);
                        }
                    })
                });
            })
        });
        cache.len = shape.keys;
        attended.finish_write(pool);
        linears(pool, attended, [(&attend.o_proj, Epilogue::add_to(x))]);

        let norm = Norm::of(&self.post_attention_layernorm);
        normed.fill(pool, rows, hidden, |row, out| norm.apply(x.row(row), out));
        let output = inner.begin_write(rows, mlp.gate_proj.outputs());
        gated_linears(pool, normed, &mlp.gate_proj, &mlp.up_proj, mlp.activation, output);
        inner.finish_write(pool);
        linears(pool, inner, [(&mlp.down_proj, Epilogue::add_to(x))]);
    }
}

fn narrow<E: TensorElement>(values: &[f32], out: &mut [E]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = E::narrow(*value);
    }
}

impl Step<'_> {
    /// Applies rotary embeddings to queries and keys.
    fn rotate(&self, projected: &mut Matrix<f32>, shape: AttentionShape) {
        let (width, rotated) = (shape.width, (shape.heads + shape.kv_heads) * shape.width);
        projected.for_rows(self.pool, |row, values| {
            let start = self.positions[row] * width;
            let (cos, sin) = (&self.cos[start..][..width / 2], &self.sin[start..][..width / 2]);
            values[..rotated].chunks_exact_mut(width).for_each(|head| rotate(head, cos, sin));
        });
    }

    /// Appends keys or values, which start at `column` of the projected rows, to those of earlier tokens.
    fn append<E: TensorElement>(&self, projected: &Matrix<f32>, shape: AttentionShape, column: usize, cache: &mut [E]) {
        let width = shape.width;
        for row in 0..self.rows {
            for token in 0..self.tokens {
                let values = &projected.row(row * self.tokens + token)[column..];
                for (head, values) in values.chunks_exact(width).take(shape.kv_heads).enumerate() {
                    let offset = ((row * shape.kv_heads + head) * self.capacity + self.start + token) * width;
                    narrow(values, &mut cache[offset..][..width]);
                }
            }
        }
    }
}
