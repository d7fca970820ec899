//! Copies of tokens between KV caches.

use super::attention::PAGE;
use super::hardware::{cubes, vector_size};
use super::weights::{Cache, CachedSequence, LayerCache, Sizes};
use crate::PAGE_TOKENS;
use cubecl::prelude::*;
use cubecl::server::Handle;
use std::ops::Range;

/// Units per cube.
const UNITS: u32 = 256;

/// The bases of a sequence on a GPU; see [`Cache`].
pub struct Bases {
    handle: Handle,
    pages: usize,
}

/// Keys and values of a layer with the bases of a sequence in it.
#[derive(Clone, Copy)]
pub struct LayerRows<'a> {
    /// Keys and values.
    pub layer: &'a LayerCache,
    /// The bases of the sequence.
    pub bases: &'a Bases,
    /// Rows between the heads of a token.
    pub head_stride: usize,
    /// Number of tokens for which there is memory.
    pub tokens: usize,
}

impl Bases {
    /// Copies bases to a GPU.
    pub fn new(client: &Client, bases: &[u32]) -> Self {
        Self { handle: client.create_from_slice(u32::as_bytes(bases)), pages: bases.len() }
    }
}

/// Copies the keys and values of these tokens of a sequence, in all layers, to the same tokens of another one.
///
/// # Panics
///
/// When a sequence has no pages for these tokens.
pub(super) fn copy_tokens(
    client: &Client,
    sizes: &Sizes,
    from: CachedSequence<'_>,
    to: CachedSequence<'_>,
    tokens: Range<usize>,
) {
    if tokens.is_empty() {
        return;
    }
    let [from_bases, to_bases] = [from.bases, to.bases].map(|bases| Bases::new(client, bases));
    let rows = |cache: &Cache| (cache.head_stride, cache.tokens);
    for (source, target) in from.cache.layers.iter().zip(&to.cache.layers) {
        let of = |layer, bases, (head_stride, tokens)| LayerRows { layer, bases, head_stride, tokens };
        let (source, target) = (of(source, &from_bases, rows(from.cache)), of(target, &to_bases, rows(to.cache)));
        copy_layer(client, sizes, source, target, tokens.clone());
    }
}

/// Copies the keys and values of these tokens, at least one, in a layer.
///
/// # Panics
///
/// When a sequence has no pages for these tokens.
pub(super) fn copy_layer(client: &Client, sizes: &Sizes, from: LayerRows<'_>, to: LayerRows<'_>, tokens: Range<usize>) {
    let pages = tokens.end.div_ceil(PAGE_TOKENS);
    assert!(pages <= from.bases.pages.min(to.bases.pages), "copied tokens without pages");
    let Sizes { kv_heads, head_dim, weights: element, .. } = *sizes;
    let lanes = vector_size(client, element, &[head_dim]);
    let vectors = tokens.len() * kv_heads * head_dim / lanes;
    let arg = |handle: &Handle, len: usize| {
        // SAFETY: the buffers have the lengths of their shapes.
        unsafe { BufferArg::from_raw_parts(handle.clone(), len) }
    };
    let [of_from, of_to] = [from.tokens, to.tokens].map(|tokens| tokens * kv_heads * head_dim);
    // SAFETY: bases are those of pages within the caches.
    unsafe {
        copy::launch_unchecked(
            client,
            cubes(client, vectors, CubeDim::new_1d(UNITS)),
            CubeDim::new_1d(UNITS),
            lanes,
            arg(&from.layer.keys, of_from),
            arg(&from.layer.values, of_from),
            arg(&to.layer.keys, of_to),
            arg(&to.layer.values, of_to),
            arg(&from.bases.handle, from.bases.pages),
            arg(&to.bases.handle, to.bases.pages),
            tokens.start as u32,
            vectors as u32,
            from.head_stride as u32,
            to.head_stride as u32,
            kv_heads as u32,
            (head_dim / lanes) as u32,
            element,
        );
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
