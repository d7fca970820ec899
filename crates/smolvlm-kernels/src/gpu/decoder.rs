//! Decode steps of a llama decoder on a GPU, with five launches per layer and no host synchronization between tokens.

use super::argmax;
use super::attention::{self, AttentionConfig, CHUNK, PAGE};
use super::decode_batch::{BatchMemory, chunks};
use super::gemv::{self, GemvConfig, PLANES};
use super::hardware::{has_planes, vector_size};
use super::reduce::LANES;
use super::weights::{Sizes, Weights};
use cubecl::prelude::*;
use cubecl::server::Handle;

/// Outputs that share a load of the inputs from [`MANY_ROWS`] rows.
const SHARED: usize = 4;
/// Minimum number of rows to share loads. With fewer rows, more outputs per cube leave too few cubes: 8 rows took a
/// third longer on an NVIDIA H200.
const MANY_ROWS: usize = 32;

/// A decoder whose weights are on a GPU.
pub struct Decoder {
    pub(super) client: Client,
    pub(super) sizes: Sizes,
    pub(super) weights: Weights,
    lanes: usize,
    planes: bool,
}

impl Decoder {
    /// Creates a decoder with these weights; `None` if the kernels or the GPU do not support its sizes.
    pub fn new(client: Client, sizes: Sizes, weights: Weights) -> Option<Self> {
        let widths = [sizes.hidden, sizes.inner, sizes.head_dim, sizes.heads * sizes.head_dim];
        let lanes = vector_size(&client, sizes.weights, &widths);
        let (width, group) = (sizes.head_dim / lanes, sizes.heads / sizes.kv_heads.max(1));
        let units = attention::UNITS as usize;
        let scores = group * (CHUNK as usize + units + units * lanes);
        let shared = 4 * (scores + (group + 2) * sizes.head_dim + (CHUNK / PAGE) as usize);
        let hardware = &client.properties().hardware;
        let suits = sizes.heads == group * sizes.kv_heads
            && sizes.head_dim.is_multiple_of(2)
            && units.is_multiple_of(width)
            && (units / width).is_power_of_two()
            && group * width <= units
            && shared <= hardware.max_shared_memory_size
            && units <= hardware.max_units_per_cube as usize;
        let planes = has_planes(&client);
        suits.then_some(Self { client, sizes, weights, lanes, planes })
    }

    /// The GPU.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The buffers of all weights.
    pub fn weights(&self) -> impl Iterator<Item = &Handle> {
        self.weights.handles()
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.weights.layers.len()
    }

    /// Launches a decode step: runs the current token of each row and replaces it by the next one.
    pub(super) fn launch(&self, rows: &BatchMemory) {
        let Sizes { hidden, inner, heads, kv_heads, head_dim, vocabulary, eps, weights: elem } = self.sizes;
        let (client, buffers, count) = (&self.client, &rows.buffers, rows.count as u32);
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        let batch = [1, 2, 4].into_iter().find(|&batch| count <= batch).unwrap_or(8_u32);
        // With many rows, several outputs share a load of the inputs.
        let divide = [queries, keys, hidden, inner, vocabulary].iter().all(|count| count.is_multiple_of(SHARED));
        let outputs = if self.planes && rows.count >= MANY_ROWS && divide { SHARED } else { 1 } as u32;
        let config =
            |width: usize| GemvConfig { width: (width / self.lanes) as u32, batch, outputs, planes: self.planes };
        let cubes = |count_of_outputs: usize| {
            CubeCount::Static((count_of_outputs as u32).div_ceil(PLANES * outputs), count.div_ceil(batch), 1)
        };
        let gemv_dim = CubeDim::new_2d(LANES, PLANES);
        let arg = |handle: &Handle, len: usize| unsafe { BufferArg::from_raw_parts(handle.clone(), len) };
        let width = (head_dim / self.lanes) as u32;
        let chunks = chunks(rows.pages_per_row) as u32;
        let attention_config =
            AttentionConfig { kv_heads: kv_heads as u32, group: (heads / kv_heads) as u32, width, planes: self.planes };
        let cache_len = rows.cache.tokens * kv_heads * head_dim;
        let angles = rows.rotary.positions * head_dim;
        let table = vocabulary * hidden;

        // The buffers have the lengths of their shapes, and kernels stay within them.
        let add = |x: &Handle, weights: &Handle, inputs: usize| unsafe {
            gemv::residual_gemv::launch_unchecked(
                client,
                cubes(hidden),
                gemv_dim,
                self.lanes,
                arg(x, rows.count * inputs),
                arg(weights, hidden * inputs),
                arg(&buffers.hidden, rows.count * hidden),
                count,
                hidden as u32,
                config(inputs),
                elem,
            );
        };
        unsafe {
            argmax::embed::launch_unchecked(
                client,
                CubeCount::Static(count, 1, 1),
                CubeDim::new_1d(argmax::UNITS),
                self.lanes,
                arg(&self.weights.embeddings, table),
                arg(&buffers.tokens, rows.count),
                arg(&buffers.lens, rows.count),
                arg(&buffers.steps, 1),
                arg(&buffers.hidden, rows.count * hidden),
                (hidden / self.lanes) as u32,
                elem,
            );
        }
        for (layer, cache) in self.weights.layers.iter().zip(&rows.cache.layers) {
            unsafe {
                gemv::rms_norm_gemv::launch_unchecked(
                    client,
                    cubes(queries + 2 * keys),
                    gemv_dim,
                    self.lanes,
                    arg(&buffers.hidden, rows.count * hidden),
                    arg(&layer.input_norm, hidden),
                    arg(&layer.q, queries * hidden),
                    arg(&layer.k, keys * hidden),
                    arg(&layer.v, keys * hidden),
                    arg(&buffers.projected, rows.count * (queries + 2 * keys)),
                    count,
                    eps,
                    (queries as u32, keys as u32, keys as u32),
                    config(hidden),
                    elem,
                );
                let (out, len) = match chunks {
                    1 => (&buffers.attended, queries),
                    _ => (&buffers.chunks, chunks as usize * queries),
                };
                attention::attend::launch_unchecked(
                    client,
                    CubeCount::Static(chunks, kv_heads as u32, count),
                    CubeDim::new_1d(attention::UNITS),
                    self.lanes,
                    arg(&buffers.projected, rows.count * (queries + 2 * keys)),
                    arg(&cache.keys, cache_len),
                    arg(&cache.values, cache_len),
                    arg(&rows.rotary.tables[0], angles),
                    arg(&rows.rotary.tables[1], angles),
                    arg(&buffers.lens, rows.count),
                    arg(&buffers.padding, rows.count),
                    arg(&buffers.pages, rows.count * rows.pages_per_row),
                    arg(out, rows.count * len),
                    arg(&buffers.chunk_weights, rows.count * heads * 2 * chunks as usize),
                    rows.pages_per_row as u32,
                    rows.cache.head_stride as u32,
                    1.0 / (head_dim as f32).sqrt(),
                    chunks,
                    attention_config,
                    elem,
                );
                if chunks > 1 {
                    attention::combine::launch_unchecked(
                        client,
                        CubeCount::Static(count * heads as u32, 1, 1),
                        CubeDim::new_1d(width.max(LANES)),
                        self.lanes,
                        arg(&buffers.chunks, rows.count * len),
                        arg(&buffers.chunk_weights, rows.count * heads * 2 * chunks as usize),
                        arg(&buffers.lens, rows.count),
                        arg(&buffers.attended, rows.count * queries),
                        chunks,
                        heads as u32,
                        width,
                    );
                }
                add(&buffers.attended, &layer.o, queries);
                gemv::gated_gemv::launch_unchecked(
                    client,
                    cubes(inner),
                    gemv_dim,
                    self.lanes,
                    arg(&buffers.hidden, rows.count * hidden),
                    arg(&layer.mlp_norm, hidden),
                    arg(&layer.gate, inner * hidden),
                    arg(&layer.up, inner * hidden),
                    arg(&buffers.gated, rows.count * inner),
                    count,
                    eps,
                    inner as u32,
                    config(hidden),
                    elem,
                );
                add(&buffers.gated, &layer.down, inner);
            }
        }
        // One cube reads all logits of a row.
        let units = 1 << client.properties().hardware.max_units_per_cube.min(1024).ilog2();
        let lanes = if vocabulary.is_multiple_of(4) { 4 } else { 1 };
        unsafe {
            gemv::rms_norm_gemv::launch_unchecked(
                client,
                cubes(vocabulary),
                gemv_dim,
                self.lanes,
                arg(&buffers.hidden, rows.count * hidden),
                arg(&self.weights.norm, hidden),
                arg(&self.weights.head, table),
                arg(&self.weights.head, table),
                arg(&self.weights.head, table),
                arg(&buffers.logits, rows.count * vocabulary),
                count,
                eps,
                (vocabulary as u32, 0, 0),
                config(hidden),
                elem,
            );
            argmax::argmax::launch_unchecked(
                client,
                CubeCount::Static(count, 1, 1),
                CubeDim::new_1d(units),
                lanes,
                arg(&buffers.logits, rows.count * vocabulary),
                arg(&buffers.tokens, rows.count),
                arg(&buffers.found, 4 * rows.count),
                arg(&buffers.steps, 1),
                count,
                (vocabulary / lanes) as u32,
                units,
            );
        }
    }
}
