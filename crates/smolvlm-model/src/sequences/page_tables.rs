//! The pages of each sequence, shared between sequences with the same start.

use super::prefix::PrefixTree;
use super::{SequenceId, TokenKey};
use crate::Error;
use smolvlm_kernels::{PAGE_TOKENS, PageId, PageStore};
use std::collections::BTreeMap;

/// The page tables of sequences, and pages that are kept of earlier ones. Their contents are in a [`PageStore`].
#[derive(Debug, Default)]
pub(crate) struct PageTables {
    tables: BTreeMap<SequenceId, PageTable>,
    prefixes: PrefixTree,
}

/// The pages of a sequence.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageTable {
    pub(crate) pages: Vec<PageId>,
    /// Number of tokens.
    pub(crate) len: usize,
}

impl PageTables {
    pub(crate) fn add(&mut self, id: SequenceId) {
        self.tables.insert(id, PageTable::default());
    }

    pub(crate) fn get(&self, id: SequenceId) -> Option<&PageTable> {
        self.tables.get(&id)
    }

    pub(crate) fn len(&self, id: SequenceId) -> usize {
        self.get(id).map_or(0, |table| table.len)
    }

    /// Counts tokens that were stored in the pages of a sequence.
    pub(crate) fn advance(&mut self, id: SequenceId, tokens: usize) {
        if let Some(table) = self.tables.get_mut(&id) {
            table.len += tokens;
        }
    }

    /// Adds a sequence with the longest known prefix of these tokens, without the last one; returns its length.
    pub(crate) fn resume(&mut self, id: SequenceId, keys: &[TokenKey], store: &mut impl PageStore) -> usize {
        let pages = self.prefixes.find(&keys[..keys.len().saturating_sub(1)]);
        pages.iter().for_each(|&page| store.references_mut().retain(page));
        let len = pages.len() * PAGE_TOKENS;
        self.tables.insert(id, PageTable { pages, len });
        len
    }

    /// Removes a sequence and keeps its full pages while there is memory. `keys` are those of its tokens.
    pub(crate) fn keep(&mut self, id: SequenceId, keys: &[TokenKey], max_kept: usize, store: &mut impl PageStore) {
        if let Some(table) = self.tables.get(&id) {
            self.prefixes.insert(&keys[..keys.len().min(table.len)], &table.pages, store.references_mut());
        }
        self.remove(id, store);
        while self.prefixes.len() > max_kept / PAGE_TOKENS && self.prefixes.evict(store.references_mut()) {}
    }

    /// Removes the last tokens of a sequence, down to `len`.
    #[cfg(feature = "flex")]
    pub(crate) fn truncate(&mut self, id: SequenceId, len: usize, store: &mut impl PageStore) {
        if let Some(table) = self.tables.get_mut(&id) {
            table.len = table.len.min(len);
            let pages = table.len.div_ceil(PAGE_TOKENS);
            table.pages.drain(pages..).for_each(|page| store.references_mut().release(page));
        }
    }

    pub(crate) fn remove(&mut self, id: SequenceId, store: &mut impl PageStore) {
        if let Some(table) = self.tables.remove(&id) {
            table.pages.into_iter().for_each(|page| store.references_mut().release(page));
        }
    }

    /// A sequence with the tokens of another one. It shares the pages; a partly filled one is copied when either grows.
    pub(crate) fn fork(&mut self, source: SequenceId, id: SequenceId, store: &mut impl PageStore) {
        let mut table = self.tables.get(&source).cloned().unwrap_or_default();
        table.pages.truncate(table.len.div_ceil(PAGE_TOKENS));
        table.pages.iter().for_each(|&page| store.references_mut().retain(page));
        self.tables.insert(id, table);
    }

    /// Gives a sequence pages of its own for `tokens` more tokens.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSequence`] and [`Error::OutOfPages`].
    pub(crate) fn make_room(&mut self, id: SequenceId, tokens: usize, store: &mut impl PageStore) -> Result<(), Error> {
        let Self { tables, prefixes } = self;
        let Some(table) = tables.get_mut(&id) else { return Err(Error::UnknownSequence) };
        // Tokens are added to the last page if it has room.
        if !table.len.is_multiple_of(PAGE_TOKENS)
            && let Some(last) = table.pages.get_mut(table.len / PAGE_TOKENS)
            && store.references().is_shared(*last)
        {
            let filled = table.len % PAGE_TOKENS;
            let own = with_eviction(store, prefixes, tokens, |store| store.copy(*last, filled))?;
            store.references_mut().release(*last);
            *last = own;
        }
        while table.pages.len() * PAGE_TOKENS < table.len + tokens {
            table.pages.push(with_eviction(store, prefixes, tokens, PageStore::allocate)?);
        }
        Ok(())
    }

    /// Gives a sequence pages of its own for `tokens` more tokens if that takes no memory of others.
    #[cfg(feature = "cubecl")]
    pub(crate) fn make_spare_room(&mut self, id: SequenceId, tokens: usize, store: &mut impl PageStore) {
        if let Some(table) = self.tables.get_mut(&id)
            && table.pages.len() * PAGE_TOKENS < table.len + tokens
        {
            table.pages.extend(store.allocate());
        }
    }
}

/// Allocates a page; pages of earlier sequences make room.
fn with_eviction<S: PageStore>(
    store: &mut S,
    prefixes: &mut PrefixTree,
    tokens: usize,
    allocate: impl Fn(&mut S) -> Option<PageId>,
) -> Result<PageId, Error> {
    loop {
        if let Some(page) = allocate(store) {
            return Ok(page);
        }
        if !prefixes.evict(store.references_mut()) {
            return Err(Error::OutOfPages { tokens, free: store.references().free() * PAGE_TOKENS });
        }
    }
}
