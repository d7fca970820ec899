//! Copies of tokens between KV caches.

use super::attention::PAGE;
use super::hardware::{cubes, vector_size};
use super::weights::{Cache, CachedSequence, Sizes};
use crate::PAGE_TOKENS;
use cubecl::prelude::*;
use std::ops::Range;

/// Units per cube.
const UNITS: u32 = 256;

/// Copies the keys and values of these tokens of a sequence, in all layers, to the same tokens of another one.
///
/// # Panics
///
/// When a sequence has no pages for these tokens.
pub fn copy_tokens(
    client: &Client,
    sizes: &Sizes,
    from: CachedSequence<'_>,
    to: CachedSequence<'_>,
    tokens: Range<usize>,
) {
    let pages = tokens.end.div_ceil(PAGE_TOKENS);
    assert!(pages <= from.bases.len().min(to.bases.len()), "copied tokens without pages");
    if tokens.is_empty() {
        return;
    }
    let Sizes { kv_heads, head_dim, weights: element, .. } = *sizes;
    let lanes = vector_size(client, element, &[head_dim]);
    let vectors = tokens.len() * kv_heads * head_dim / lanes;
    let [from_bases, to_bases] = [from.bases, to.bases].map(|bases| client.create_from_slice(u32::as_bytes(bases)));
    let of = |cache: &Cache| cache.tokens * kv_heads * head_dim;
    let arg = |handle: &cubecl::server::Handle, len: usize| {
        // SAFETY: the buffers have the lengths of their shapes.
        unsafe { BufferArg::from_raw_parts(handle.clone(), len) }
    };
    for (source, target) in from.cache.layers.iter().zip(&to.cache.layers) {
        // SAFETY: bases are those of pages within the caches.
        unsafe {
            copy::launch_unchecked(
                client,
                cubes(client, vectors, CubeDim::new_1d(UNITS)),
                CubeDim::new_1d(UNITS),
                lanes,
                arg(&source.keys, of(from.cache)),
                arg(&source.values, of(from.cache)),
                arg(&target.keys, of(to.cache)),
                arg(&target.values, of(to.cache)),
                arg(&from_bases, from.bases.len()),
                arg(&to_bases, to.bases.len()),
                tokens.start as u32,
                vectors as u32,
                from.cache.head_stride as u32,
                to.cache.head_stride as u32,
                kv_heads as u32,
                (head_dim / lanes) as u32,
                element,
            );
        }
    }
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn copy<E: Float, N: Size>(
    from_keys: &[Vector<E, N>],
    from_values: &[Vector<E, N>],
    to_keys: &mut [Vector<E, N>],
    to_values: &mut [Vector<E, N>],
    from_bases: &[u32],
    to_bases: &[u32],
    first: u32,
    vectors: u32,
    from_stride: u32,
    to_stride: u32,
    kv_heads: u32,
    #[comptime] width: u32,
    #[define(E)] _element: ElemType,
) {
    let index = ABSOLUTE_POS as u32;
    if index < vectors {
        let (lane, rest) = (index % width, index / width);
        let (head, token) = (rest % kv_heads, first + rest / kv_heads);
        let (page, slot) = ((token / PAGE) as usize, token % PAGE);
        let from = ((from_bases[page] + head * from_stride + slot) * width + lane) as usize;
        let to = ((to_bases[page] + head * to_stride + slot) * width + lane) as usize;
        to_keys[to] = from_keys[from];
        to_values[to] = from_values[from];
    }
}
