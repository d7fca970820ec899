//! Reference-counted pages of a KV cache.

/// Tokens per page: the columns of one key panel of the CPU kernels.
pub const PAGE_TOKENS: usize = crate::cpu::COLUMNS;

/// A page of tokens, with the keys and values of all layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub(crate) u32);

/// The references to pages that are numbered from 0, up to a maximum. Their contents are stored elsewhere.
///
/// # Panics
///
/// Functions panic when a page was not allocated here, or has been released.
#[derive(Debug)]
pub struct PageReferences {
    /// References to each page that was ever allocated.
    counts: Vec<u32>,
    /// Released pages.
    released: Vec<PageId>,
    max_pages: usize,
}

impl PageReferences {
    /// No pages yet, of which at most `max_pages` can be in use at once.
    pub fn new(max_pages: usize) -> Self {
        Self { counts: Vec::new(), released: Vec::new(), max_pages: max_pages.min(u32::MAX as usize) }
    }

    /// Number of pages in use.
    pub fn used(&self) -> usize {
        self.counts.len() - self.released.len()
    }

    /// Number of pages that can still be allocated.
    pub fn free(&self) -> usize {
        self.max_pages - self.used()
    }

    /// Number of pages that can be in use at once.
    pub fn max_pages(&self) -> usize {
        self.max_pages
    }

    /// Number of pages that were ever allocated: all numbers are less than this.
    pub(crate) fn created(&self) -> usize {
        self.counts.len()
    }

    /// Allocates a released page with one reference.
    pub(crate) fn reuse(&mut self) -> Option<PageId> {
        let page = self.released.pop()?;
        self.counts[page.0 as usize] = 1;
        Some(page)
    }

    /// Allocates a page that was never used, with one reference; `None` when all pages are in use.
    pub(crate) fn create(&mut self) -> Option<PageId> {
        let next = self.counts.len();
        (next < self.max_pages).then(|| {
            self.counts.push(1);
            PageId(next as u32)
        })
    }

    /// Adds a reference. The new owner may only rely on the tokens stored so far; if it shares not all of them, it
    /// needs a [`copy`](PageStore::copy).
    pub fn retain(&mut self, page: PageId) {
        *self.count(page) += 1;
    }

    /// Drops a reference; the last one frees the page.
    pub fn release(&mut self, page: PageId) {
        let count = self.count(page);
        *count -= 1;
        if *count == 0 {
            self.released.push(page);
        }
    }

    /// Whether a page has several references, so that it must be copied before it is written.
    pub fn is_shared(&self, page: PageId) -> bool {
        self.counts[page.0 as usize] > 1
    }

    /// Whether a page may be written by its only owner.
    pub(crate) fn is_writable(&self, page: PageId) -> bool {
        self.counts[page.0 as usize] == 1
    }

    fn count(&mut self, page: PageId) -> &mut u32 {
        let count = &mut self.counts[page.0 as usize];
        assert!(*count > 0, "a released page");
        count
    }
}

/// Storage for pages.
pub trait PageStore {
    /// The references to the pages.
    fn references(&self) -> &PageReferences;

    /// The references to the pages, which can be added and dropped.
    fn references_mut(&mut self) -> &mut PageReferences;

    /// Allocates a page with one reference; `None` when all pages are in use or memory is exhausted.
    fn allocate(&mut self) -> Option<PageId>;

    /// Copies the first `tokens` tokens of a page to a new page; `None` as for [`allocate`](Self::allocate). The
    /// references of the copied page stay.
    fn copy(&mut self, page: PageId, tokens: usize) -> Option<PageId>;
}
