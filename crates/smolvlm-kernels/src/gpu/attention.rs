//! Fused decode attention for one new token per row: rotary embedding, the write to the cache, and attention, in one
//! launch.

use super::reduce::{LANES, over_strides, over_units};
use crate::PAGE_TOKENS;
use cubecl::prelude::*;

/// Units per cube.
pub const UNITS: u32 = 256;
/// Keys per cube.
pub const CHUNK: u32 = 512;
/// Tokens per page.
pub const PAGE: u32 = PAGE_TOKENS as u32;
/// In place of the number of tokens of a row that is not in use.
pub const IDLE: u32 = u32::MAX;

/// Value vectors that a unit loads at once.
const FETCHED: u32 = 4;
/// Score of a masked key.
const HIDDEN: f32 = -1.0e30;

/// Compile-time parameters of the attention kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionConfig {
    /// Number of key and value heads.
    pub kv_heads: u32,
    /// Query heads per key head.
    pub group: u32,
    /// Vectors per head.
    pub width: u32,
    /// Whether planes have [`LANES`] units and support plane operations.
    pub planes: bool,
}

/// A vector of a head, with rotary position embedding applied.
#[cube]
fn rotated<W: Float, N: Size>(
    projected: &[f32],
    head: u32,
    index: u32,
    cos: &[W],
    sin: &[W],
    position: u32,
    #[comptime] width: u32,
) -> Vector<f32, N> {
    let lanes = N::value();
    let lanes = comptime!(lanes as u32);
    let dim = comptime!(width * lanes);
    let half = comptime!(dim / 2);
    let mut out = Vector::<f32, N>::empty();
    #[unroll]
    for lane in 0..lanes {
        let at = index * lanes + lane;
        let angle = (position * dim + at) as usize;
        let value = projected[(head + at) as usize];
        let lower = at < half;
        let other = projected[(head + select(lower, at + half, at - half)) as usize];
        let other = select(lower, -other, other);
        let turned = value * f32::cast_from(cos[angle]) + other * f32::cast_from(sin[angle]);
        out.insert(lane as usize, turned);
    }
    out
}

/// Computes the attention of the new token of each row over the cached keys and its own, and appends its key and value
/// to the cache. `projected` holds the queries, keys and values of the new tokens. Each cube handles a chunk of keys of
/// one key head of one row.
///
/// The cache holds `lens[row]` tokens of a row, including the new one, of which the first `padding[row]` are masked.
/// Token `t` of a head is vector row `pages[row, t / PAGE] + head * head_stride + t % PAGE` of the keys and values. With
/// one chunk, `out` is the attention output. With more, as in flash decoding, `out` is the weighted sum of each chunk,
/// and `weights` holds the largest score and the sum of the weights of each chunk.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn attend<W: Float, N: Size>(
    projected: &[f32],
    keys: &mut [Vector<W, N>],
    values: &mut [Vector<W, N>],
    cos: &[W],
    sin: &[W],
    lens: &[u32],
    padding: &[u32],
    pages: &[u32],
    out: &mut [Vector<f32, N>],
    weights: &mut [f32],
    pages_per_row: u32,
    head_stride: u32,
    scale: f32,
    chunks: u32,
    #[comptime] config: AttentionConfig,
    #[define(W)] _element: ElemType,
) {
    let AttentionConfig { kv_heads, group, width, planes } = config;
    let lanes = N::value();
    let lanes = comptime!(lanes as u32);
    let dim = comptime!(width * lanes);
    let parts = comptime!(UNITS / width);
    let (chunk, head, row) = (CUBE_POS_X, CUBE_POS_Y, CUBE_POS_Z);
    let (len, hidden) = (lens[row as usize], padding[row as usize]);
    let start = chunk * CHUNK;
    if len == IDLE || start >= len {
        terminate!();
    }
    let token = len - 1;
    let position = token - hidden;
    let count = min(CHUNK, len - start);
    // Layout of a row of `projected`: queries of all heads, keys of all heads, values of all heads.
    let of_row = row * comptime!((kv_heads * group + 2 * kv_heads) * dim);
    let of_keys = of_row + comptime!(kv_heads * group * dim) + head * dim;
    let of_values = of_keys + comptime!(kv_heads * dim);
    let of_head = head * head_stride;

    let mut bases = Shared::<[u32]>::new_slice(comptime!(CHUNK / PAGE) as usize);
    if UNIT_POS < count.div_ceil(PAGE) {
        bases[UNIT_POS as usize] = pages[(row * pages_per_row + start / PAGE + UNIT_POS) as usize] + of_head;
    }
    let mut queries = Shared::<[Vector<f32, N>]>::new_slice((group * width) as usize);
    let mut own_key = Shared::<[Vector<f32, N>]>::new_slice(width as usize);
    let mut own_value = Shared::<[Vector<f32, N>]>::new_slice(width as usize);
    if UNIT_POS < group * width {
        let (query, index) = (UNIT_POS / width, UNIT_POS % width);
        let at = of_row + (head * group + query) * dim;
        let rotated = rotated::<W, N>(projected, at, index, cos, sin, position, width);
        queries[UNIT_POS as usize] = rotated * Vector::new(scale);
    }
    if UNIT_POS < width {
        let key = rotated::<W, N>(projected, of_keys, UNIT_POS, cos, sin, position, width);
        let mut value = Vector::<f32, N>::empty();
        #[unroll]
        for lane in 0..lanes {
            value.insert(lane as usize, projected[(of_values + UNIT_POS * lanes + lane) as usize]);
        }
        own_key[UNIT_POS as usize] = key;
        own_value[UNIT_POS as usize] = value;
        if token < start + CHUNK {
            let base = pages[(row * pages_per_row + token / PAGE) as usize] + of_head;
            let at = ((base + token % PAGE) * width + UNIT_POS) as usize;
            keys[at] = Vector::cast_from(key);
            values[at] = Vector::cast_from(value);
        }
    }
    sync_cube();

    let mut scores = Shared::<[f32]>::new_slice((group * CHUNK) as usize);
    #[unroll]
    for part in 0..comptime!(CHUNK / UNITS) {
        let local = part * UNITS + UNIT_POS;
        let key = start + local;
        let mut sums = Array::<f32>::new(group as usize);
        #[unroll]
        for query in 0..group as usize {
            sums[query] = 0.0f32;
        }
        let visible = local < count && key >= hidden;
        if visible {
            let of_key = (bases[(local / PAGE) as usize] + local % PAGE) * width;
            #[unroll]
            for index in 0..width {
                let mut vector = own_key[index as usize];
                if key != token {
                    vector = Vector::cast_from(keys[(of_key + index) as usize]);
                }
                #[unroll]
                for query in 0..group {
                    sums[query as usize] += Vector::vector_sum(queries[(query * width + index) as usize] * vector);
                }
            }
        }
        #[unroll]
        for query in 0..group {
            let at = (query * CHUNK + local) as usize;
            scores[at] = select(visible, sums[query as usize], HIDDEN.runtime());
        }
    }
    sync_cube();

    let mut scratch = Shared::<[f32]>::new_slice((group * UNITS) as usize);
    let mut largest = Array::<f32>::new(group as usize);
    #[unroll]
    for query in 0..group {
        let mut found = HIDDEN.runtime();
        #[unroll]
        for part in 0..comptime!(CHUNK / UNITS) {
            found = max(found, scores[(query * CHUNK + part * UNITS + UNIT_POS) as usize]);
        }
        largest[query as usize] = found;
    }
    over_units(&mut largest, &mut scratch, group, UNITS, true, planes);
    let mut totals = Array::<f32>::new(group as usize);
    #[unroll]
    for query in 0..group {
        let mut sum = 0.0f32;
        #[unroll]
        for part in 0..comptime!(CHUNK / UNITS) {
            let local = part * UNITS + UNIT_POS;
            let at = (query * CHUNK + local) as usize;
            let weight = select(local < count, (scores[at] - largest[query as usize]).exp(), 0.0f32);
            scores[at] = weight;
            sum += weight;
        }
        totals[query as usize] = sum;
    }
    over_units(&mut totals, &mut scratch, group, UNITS, false, planes);

    let mut sums = Array::<Vector<f32, N>>::new(group as usize);
    #[unroll]
    for query in 0..group as usize {
        sums[query] = Vector::new(0.0f32);
    }
    let (index, part) = (UNIT_POS % width, UNIT_POS / width);
    // Unrolled, so that the loads are issued together.
    let mut at_once = part;
    while at_once < count {
        #[unroll]
        for step in 0..FETCHED {
            let local = at_once + step * parts;
            let key = start + local;
            if local < count {
                let mut vector = own_value[index as usize];
                if key != token {
                    let of_value = (bases[(local / PAGE) as usize] + local % PAGE) * width;
                    vector = Vector::cast_from(values[(of_value + index) as usize]);
                }
                #[unroll]
                for query in 0..group {
                    sums[query as usize] += vector * Vector::new(scores[(query * CHUNK + local) as usize]);
                }
            }
        }
        at_once += parts * FETCHED;
    }
    // With plane operations, units of a plane with the same part of a head are reduced first.
    let shuffled = comptime!(planes && width <= LANES && LANES.is_multiple_of(width));
    let left = comptime!(if shuffled { UNITS / LANES } else { UNITS / width });
    let mut partial = Shared::<[Vector<f32, N>]>::new_slice((group * left * width) as usize);
    #[unroll]
    for query in 0..group {
        let sum = sums[query as usize];
        if comptime!(shuffled) {
            let mut shared = Vector::<f32, N>::empty();
            #[unroll]
            for lane in 0..lanes {
                shared.insert(lane as usize, over_strides(sum.extract(lane as usize), width));
            }
            if UNIT_POS % LANES < width {
                partial[((query * left + UNIT_POS / LANES) * width + index) as usize] = shared;
            }
        } else {
            partial[((query * left + part) * width + index) as usize] = sum;
        }
    }
    sync_cube();
    if UNIT_POS < group * width {
        let (query, index) = (UNIT_POS / width, UNIT_POS % width);
        let mut sum = Vector::<f32, N>::new(0.0f32);
        for part in 0..left {
            sum += partial[((query * left + part) * width + index) as usize];
        }
        let weight = value_at(&totals, query, group);
        let of_head = (row * kv_heads + head) * group + query;
        if chunks == 1 {
            sum *= Vector::new(1.0f32 / weight);
        } else if index == 0 {
            let at = ((of_head * chunks + chunk) * 2) as usize;
            weights[at] = value_at(&largest, query, group);
            weights[at + 1] = weight;
        }
        out[((of_head * chunks + chunk) * width + index) as usize] = sum;
    }
}

/// The value of a query; arrays in registers can only be indexed by constants.
#[cube]
fn value_at(values: &Array<f32>, query: u32, #[comptime] group: u32) -> f32 {
    let mut found = 0.0f32;
    #[unroll]
    for index in 0..group {
        if index == query {
            found = values[index as usize];
        }
    }
    found
}

/// Combines the sums of all chunks of [`attend`]. Each cube handles a head of a row with `heads` heads.
#[cube(launch_unchecked)]
pub fn combine<N: Size>(
    sums: &[Vector<f32, N>],
    weights: &[f32],
    lens: &[u32],
    out: &mut [Vector<f32, N>],
    chunks: u32,
    heads: u32,
    #[comptime] width: u32,
) {
    let head = CUBE_POS_X;
    let len = lens[(head / heads) as usize];
    if len != IDLE && UNIT_POS < width {
        let used = (len - 1) / CHUNK + 1;
        let mut largest = HIDDEN.runtime();
        for chunk in 0..used {
            largest = max(largest, weights[((head * chunks + chunk) * 2) as usize]);
        }
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let mut total = 0.0f32;
        for chunk in 0..used {
            let at = head * chunks + chunk;
            let factor = (weights[(at * 2) as usize] - largest).exp();
            total += factor * weights[(at * 2 + 1) as usize];
            sum += sums[(at * width + UNIT_POS) as usize] * Vector::new(factor);
        }
        out[(head * width + UNIT_POS) as usize] = sum * Vector::new(1.0f32 / total);
    }
}
