//! The encoder on packed weights, with buffers that are reused from layer to layer.

use crate::embeddings::{PatchEmbedding, VisionEmbeddings};
use crate::layer::EncoderLayer;
use crate::position::{PatchMask, position_ids};
use crate::{Error, VisionEncoder, VisionOutput};
use burn::tensor::Tensor;
use half::bf16;
use smolvlm_kernels::Format;
use smolvlm_kernels::cpu::{
    AttentionScratch, AttentionShape, Element, Epilogue, Heads, KeyMask, Matrix, PackedLhs, PackedMatrix, Pool,
    attention, layer_norm, matmuls,
};
use smolvlm_nn::{HostValues, tensor_of};
use smolvlm_nn::{LayerNorm, Linear, Weight, linears, packed_format};

impl PatchEmbedding {
    /// Replaces the weight tensor by packed weights, `[hidden, channels * patch * patch]`.
    pub fn pack(&mut self, matrix: PackedMatrix) {
        self.weight = Weight::packed(matrix);
    }
}

impl VisionEncoder {
    /// The linear layers with their paths in the encoder.
    pub fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let layers = self.layers.iter_mut().enumerate().flat_map(|(index, layer)| {
            let (attention, mlp) = (&mut layer.self_attn, &mut layer.mlp);
            let named = [
                ("self_attn.q_proj", &mut attention.q_proj),
                ("self_attn.k_proj", &mut attention.k_proj),
                ("self_attn.v_proj", &mut attention.v_proj),
                ("self_attn.out_proj", &mut attention.out_proj),
                ("mlp.fc1", &mut mlp.fc1),
                ("mlp.fc2", &mut mlp.fc2),
            ];
            named.map(|(name, linear)| (format!("layers.{index}.{name}"), linear))
        });
        layers.collect()
    }

    /// The packed weights of the patch embedding and the format of the layers' weights if all of them are packed.
    pub(crate) fn packed(&self) -> Option<(&PackedMatrix, Format)> {
        let patches = self.embeddings.patch_embedding.weight.matrix()?;
        let format = packed_format(self.layers.iter().flat_map(|EncoderLayer { self_attn, mlp, .. }| {
            [&self_attn.q_proj, &self_attn.k_proj, &self_attn.v_proj, &self_attn.out_proj, &mlp.fc1, &mlp.fc2]
        }))?;
        Some((patches, format))
    }
}

/// Implements [`VisionEncoder::forward`].
pub(crate) fn forward(
    encoder: &VisionEncoder,
    packed: (&PackedMatrix, Format),
    tiles: Tensor<4>,
    mask: Option<&PatchMask>,
    hidden_states: bool,
) -> Result<VisionOutput, Error> {
    // Kernels read heads of bf16 in pairs of values.
    let width = encoder.layers.first().map_or(0, |layer| layer.self_attn.q_proj.outputs() / layer.self_attn.heads);
    if packed.1 == Format::F32 || width % 2 == 1 {
        run::<f32>(encoder, packed, tiles, mask, hidden_states)
    } else {
        run::<bf16>(encoder, packed, tiles, mask, hidden_states)
    }
}

/// Runs the encoder with queries, keys and values of type `E`.
fn run<E: Element>(
    encoder: &VisionEncoder,
    (patch_weight, format): (&PackedMatrix, Format),
    tiles: Tensor<4>,
    mask: Option<&PatchMask>,
    hidden_states: bool,
) -> Result<VisionOutput, Error> {
    let grid = encoder.embeddings.checked_grid(tiles.dims(), mask)?;
    let mask = mask.filter(|mask| !mask.is_full());
    let (count, patches, hidden) = (grid[0], grid[1] * grid[2], encoder.post_layernorm.weight.val().dims()[0]);
    let shape = [count, patches, hidden];
    let pool = Pool::current();
    let mut x = encoder.embeddings.embed(&pool, patch_weight, tiles, grid, mask);
    let seen = mask.map(visible);
    let mut buffers = Buffers::<E>::new(format);
    let mut kept = Vec::new();
    for layer in &encoder.layers {
        if hidden_states {
            kept.push(tensor_of(&x, shape));
        }
        layer.run(&pool, &mut x, [count, patches], seen.as_deref(), &mut buffers);
    }
    if hidden_states {
        kept.push(tensor_of(&x, shape));
    }
    let mut out = Matrix::new();
    let norm = Norm::of(&encoder.post_layernorm);
    out.fill(&pool, count * patches, hidden, |row, out| norm.apply(x.row(row), out));
    Ok(VisionOutput { last_hidden_state: tensor_of(&out, shape), hidden_states: kept })
}

/// The patches that serve as keys. In a tile without valid patches all do, because a softmax over no keys is undefined.
fn visible(mask: &PatchMask) -> Vec<bool> {
    let tiles = mask.valid.chunks(mask.shape[1] * mask.shape[2]);
    tiles.flat_map(|tile| tile.iter().map(|&valid| valid || !tile.contains(&true))).collect()
}

impl VisionEmbeddings {
    fn embed(
        &self,
        pool: &Pool,
        weight: &PackedMatrix,
        tiles: Tensor<4>,
        grid: [usize; 3],
        mask: Option<&PatchMask>,
    ) -> Matrix<f32> {
        let PatchEmbedding { channels, patch, .. } = self.patch_embedding;
        let [_, _, height, width] = tiles.dims();
        let [count, rows, columns] = grid;
        let pixels = HostValues::of(tiles);
        let mut patches = PackedLhs::new(weight.format());
        patches.fill(pool, count * rows * columns, channels * patch * patch, |index, out| {
            let (tile, row, column) = (index / (rows * columns), index / columns % rows, index % columns);
            for (line, out) in out.chunks_exact_mut(patch).enumerate() {
                let (channel, line) = (line / patch, line % patch);
                let start = ((tile * channels + channel) * height + row * patch + line) * width + column * patch;
                out.copy_from_slice(&pixels[start..start + patch]);
            }
        });
        // The output starts as the position embeddings, to which the product is added.
        let table = HostValues::of(self.position_embedding.weight.val());
        let hidden = weight.outputs();
        let ids = match mask {
            None if rows == self.grid && columns == self.grid => None,
            None => Some(position_ids(&PatchMask::full(grid), self.grid)),
            Some(mask) => Some(position_ids(mask, self.grid)),
        };
        let mut x = Matrix::new();
        x.fill(pool, count * rows * columns, hidden, |index, out| {
            let id = ids.as_ref().map_or(index % (rows * columns), |ids| ids[index] as usize);
            out.copy_from_slice(&table[id * hidden..][..hidden]);
        });
        let bias = HostValues::of(self.patch_embedding.bias.val());
        matmuls(pool, &patches, [(weight, Epilogue::add_to(&mut x).with_bias(Some(&bias)))]);
        x
    }
}

/// Buffers of intermediate results, reused from layer to layer.
struct Buffers<E> {
    normed: PackedLhs,
    attended: PackedLhs,
    inner: PackedLhs,
    heads: Matrix<E>,
    scratch: AttentionScratch,
}

impl<E: Element> Buffers<E> {
    fn new(format: Format) -> Self {
        let rows = || PackedLhs::new(format);
        Self {
            normed: rows(),
            attended: rows(),
            inner: rows(),
            heads: Matrix::new(),
            scratch: AttentionScratch::default(),
        }
    }
}

/// A layer norm with its parameters in host memory.
struct Norm {
    weight: HostValues,
    bias: HostValues,
    eps: f32,
}

impl Norm {
    fn of(norm: &LayerNorm) -> Self {
        Self { weight: HostValues::of(norm.weight.val()), bias: HostValues::of(norm.bias.val()), eps: norm.eps as f32 }
    }

    fn apply(&self, x: &[f32], out: &mut [f32]) {
        layer_norm(x, &self.weight, &self.bias, self.eps, out);
    }
}

impl EncoderLayer {
    fn run<E: Element>(
        &self,
        pool: &Pool,
        x: &mut Matrix<f32>,
        [tiles, patches]: [usize; 2],
        seen: Option<&[bool]>,
        buffers: &mut Buffers<E>,
    ) {
        let Buffers { normed, attended, inner, heads, scratch } = buffers;
        let (rows, hidden) = (x.rows(), x.columns());
        let (attend, mlp) = (&self.self_attn, &self.mlp);

        let norm = Norm::of(&self.layer_norm1);
        normed.fill(pool, rows, hidden, |row, out| norm.apply(x.row(row), out));
        heads.resize(rows, 3 * hidden);
        let [q, k, v] = Epilogue::store(heads).split_columns([hidden; 3]);
        linears(pool, normed, [(&attend.q_proj, q), (&attend.k_proj, k), (&attend.v_proj, v)]);
        let width = hidden / attend.heads;
        let part = |start| Heads {
            values: heads.values(),
            start,
            batch: patches * heads.stride(),
            token: heads.stride(),
            head: width,
        };
        let shape = AttentionShape {
            batch: tiles,
            heads: attend.heads,
            kv_heads: attend.heads,
            width,
            queries: patches,
            keys: patches,
        };
        let visible = seen.map_or(KeyMask::All, KeyMask::Keys);
        let qkv = [part(0), part(hidden), part(2 * hidden)];
        attention(pool, shape, qkv, visible, scratch, attended.begin_write(rows, hidden));
        attended.finish_write(pool);
        linears(pool, attended, [(&attend.out_proj, Epilogue::add_to(x))]);

        let norm = Norm::of(&self.layer_norm2);
        normed.fill(pool, rows, hidden, |row, out| norm.apply(x.row(row), out));
        let output = inner.begin_write(rows, mlp.fc1.outputs()).with_activation(mlp.activation);
        linears(pool, normed, [(&mlp.fc1, output)]);
        inner.finish_write(pool);
        linears(pool, inner, [(&mlp.fc2, Epilogue::add_to(x))]);
    }
}
