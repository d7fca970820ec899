//! Pages of the KV cache, in the layout that the attention microkernels read (as in PagedAttention, Kwon et al. 2023,
//! arXiv 2309.06180).

use super::aligned_buf::CacheLine;
use super::arena::map_zeroed;
use super::matrix::Element;
use super::micro::COLUMNS;
use super::shared_slice::SharedSlice;
use crate::pages::{PAGE_TOKENS, PageId, PageReferences, PageStore};
use ::half::bf16;
use bytemuck::{cast_slice, cast_slice_mut};
use memmap2::MmapMut;

/// Bytes per mapping, if a page is not larger.
const SLAB: usize = 32 << 20;

/// Sizes of the keys and values of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Number of layers.
    pub layers: usize,
    /// Number of key and value heads per layer.
    pub kv_heads: usize,
    /// Width of a head, a multiple of the number of elements per word.
    pub width: usize,
}

/// Number type of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvType {
    /// Exact.
    F32,
    /// Rounded to bf16, in half the memory.
    Bf16,
}

/// Keys and values of all layers in reference-counted pages of [`PAGE_TOKENS`] tokens.
///
/// A sequence is a table of pages: token `p` is in slot `p % PAGE_TOKENS` of the page `p / PAGE_TOKENS` of its table.
/// Memory grows on demand and is kept for reuse.
///
/// # Panics
///
/// Functions panic when a page was not allocated here, or has been released.
#[derive(Debug)]
pub struct KvPages {
    shape: KvShape,
    kv_type: KvType,
    layout: Layout,
    slabs: Vec<MmapMut>,
    references: PageReferences,
}

/// Sizes of the parts of a page, in cache lines. A page is `[layers][heads]` of keys `[steps][32 tokens]` and values
/// `[panels][steps][32 positions of the head]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Words per key.
    pub(super) key_steps: usize,
    /// Panels of 32 positions of a head.
    pub(super) value_panels: usize,
    /// Words per value position: a word holds one token in f32, two in bf16.
    pub(super) value_steps: usize,
    kv_heads: usize,
    layers: usize,
}

impl Layout {
    fn new(shape: KvShape, elements_per_word: usize) -> Self {
        let KvShape { layers, kv_heads, width } = shape;
        assert!(layers > 0 && kv_heads > 0 && width > 0, "an empty cache: {shape:?}");
        assert!(width % elements_per_word == 0, "heads of {width} are not whole words of {elements_per_word} elements");
        Self {
            key_steps: width / elements_per_word,
            value_panels: width.div_ceil(COLUMNS),
            value_steps: PAGE_TOKENS / elements_per_word,
            kv_heads,
            layers,
        }
    }

    /// Cache lines of the keys of a head.
    pub(super) fn keys(self) -> usize {
        2 * self.key_steps
    }

    /// Cache lines of the keys and values of a head.
    pub(super) fn head(self) -> usize {
        self.keys() + 2 * self.value_panels * self.value_steps
    }

    /// Cache lines of a layer.
    pub(super) fn layer(self) -> usize {
        self.kv_heads * self.head()
    }

    fn page(self) -> usize {
        self.layers * self.layer()
    }

    fn pages_per_slab(self) -> usize {
        (SLAB / size_of::<CacheLine>() / self.page()).max(1)
    }
}

impl KvPages {
    /// Creates an empty cache that grows up to `max_pages` pages.
    ///
    /// # Panics
    ///
    /// When a size is zero, or a head is not a whole number of words.
    pub fn new(shape: KvShape, kv_type: KvType, max_pages: usize) -> Self {
        let layout = match kv_type {
            KvType::F32 => Layout::new(shape, f32::STEP),
            KvType::Bf16 => Layout::new(shape, bf16::STEP),
        };
        Self { shape, kv_type, layout, slabs: Vec::new(), references: PageReferences::new(max_pages) }
    }

    /// Sizes of the keys and values of a token.
    pub fn shape(&self) -> KvShape {
        self.shape
    }

    /// Number type of the keys and values.
    pub fn kv_type(&self) -> KvType {
        self.kv_type
    }

    /// Bytes per page.
    pub fn page_bytes(&self) -> usize {
        self.layout.page() * size_of::<CacheLine>()
    }

    /// Zeroes the tokens of a page from `first`.
    fn clear<E: Element>(&mut self, page: PageId, first: usize) {
        let layout = self.layout;
        for head in self.page_mut(page).chunks_exact_mut(layout.head()) {
            let (keys, values) = head.split_at_mut(layout.keys());
            for step in cast_slice_mut::<_, u32>(keys).chunks_exact_mut(PAGE_TOKENS) {
                step[first..].fill(0);
            }
            for panel in cast_slice_mut::<_, E>(values).chunks_exact_mut(PAGE_TOKENS * COLUMNS) {
                for token in first..PAGE_TOKENS {
                    panel
                        .iter_mut()
                        .skip(value_index::<E>(token))
                        .step_by(E::STEP)
                        .take(COLUMNS)
                        .for_each(|v| *v = E::ZERO);
                }
            }
        }
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether a page may be written by its only owner.
    pub(super) fn is_writable(&self, page: PageId) -> bool {
        self.references.is_writable(page)
    }

    /// The keys and values of a head.
    pub(super) fn head(&self, page: PageId, layer: usize, head: usize) -> (&[CacheLine], &[CacheLine]) {
        let start = layer * self.layout.layer() + head * self.layout.head();
        self.page(page)[start..][..self.layout.head()].split_at(self.layout.keys())
    }

    /// The slab of a page, and its first cache line there.
    pub(super) fn position(&self, page: PageId) -> (usize, usize) {
        let per_slab = self.layout.pages_per_slab();
        (page.0 as usize / per_slab, page.0 as usize % per_slab * self.layout.page())
    }

    fn page(&self, page: PageId) -> &[CacheLine] {
        let (slab, start) = self.position(page);
        &cast_slice(&self.slabs[slab])[start..][..self.layout.page()]
    }

    fn page_mut(&mut self, page: PageId) -> &mut [CacheLine] {
        let (slab, start) = self.position(page);
        &mut cast_slice_mut(&mut self.slabs[slab])[start..][..self.layout.page()]
    }

    /// The lines of all slabs, for parallel writes to pages at their [`position`](Self::position).
    pub(super) fn shared(&mut self) -> Vec<SharedSlice<'_, CacheLine>> {
        self.slabs.iter_mut().map(|slab| SharedSlice::new(cast_slice_mut(slab))).collect()
    }
}

impl PageStore for KvPages {
    fn references(&self) -> &PageReferences {
        &self.references
    }

    fn references_mut(&mut self) -> &mut PageReferences {
        &mut self.references
    }

    /// Allocates a page of zeros.
    fn allocate(&mut self) -> Option<PageId> {
        if let Some(page) = self.references.reuse() {
            // A weight of zero times a NaN of an earlier sequence would be NaN.
            self.page_mut(page).fill(CacheLine::default());
            return Some(page);
        }
        let (next, max_pages) = (self.references.created(), self.references.max_pages());
        let per_slab = self.layout.pages_per_slab();
        if next < max_pages && next / per_slab == self.slabs.len() {
            let pages = per_slab.min(max_pages - next);
            self.slabs.push(map_zeroed(pages.checked_mul(self.page_bytes())?).ok()?);
        }
        self.references.create()
    }

    /// Copies the first `tokens` tokens of a page to a new page, with zeros for the others.
    ///
    /// # Panics
    ///
    /// When there are more tokens than a page holds.
    fn copy(&mut self, page: PageId, tokens: usize) -> Option<PageId> {
        assert!(tokens <= PAGE_TOKENS, "{tokens} tokens of a page");
        let copy = self.allocate()?;
        let lines = self.page(page).to_vec();
        self.page_mut(copy).copy_from_slice(&lines);
        match self.kv_type {
            KvType::F32 => self.clear::<f32>(copy, tokens),
            KvType::Bf16 => self.clear::<bf16>(copy, tokens),
        }
        Some(copy)
    }
}

/// The index of the first position of a token in a panel of values.
#[inline(always)]
pub(super) fn value_index<E: Element>(token: usize) -> usize {
    token / E::STEP * COLUMNS * E::STEP + token % E::STEP
}
