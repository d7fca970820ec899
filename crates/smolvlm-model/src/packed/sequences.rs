//! Sequences whose keys and values are in shared pages.

use super::PackedModel;
use super::prefix::PrefixTree;
use crate::Error;
use crate::sequences::{SequenceId, StepInput, TokenKey};
use smolvlm_kernels::cpu::{KvPages, Matrix, PAGE_TOKENS, PackedLhs, PageId, Pool, Precision, Segment};
use smolvlm_nn::HostValues;
use smolvlm_text::Workspace;
use std::collections::BTreeMap;

/// The sequences of a packed model.
#[derive(Debug)]
pub(crate) struct PagedSequences {
    pages: KvPages,
    tables: BTreeMap<SequenceId, PageTable>,
    prefixes: PrefixTree,
    workspace: Workspace,
    /// The residual stream, then the logits' normalized rows, kept between steps.
    x: Matrix<f32>,
    normed: PackedLhs,
}

#[derive(Debug, Clone, Default)]
struct PageTable {
    pages: Vec<PageId>,
    /// Number of tokens.
    len: usize,
}

impl PagedSequences {
    pub(crate) fn new(model: &PackedModel, max_tokens: usize) -> Self {
        Self {
            pages: model.text.new_pages(max_tokens.div_ceil(PAGE_TOKENS)),
            tables: BTreeMap::new(),
            prefixes: PrefixTree::default(),
            workspace: model.text.new_workspace(),
            x: Matrix::new(),
            normed: PackedLhs::new(model.head_format()),
        }
    }

    pub(crate) fn add(&mut self, id: SequenceId) {
        self.tables.insert(id, PageTable::default());
    }

    /// Adds a sequence with the longest known prefix of these tokens, without the last one; returns its length.
    pub(crate) fn resume(&mut self, id: SequenceId, keys: &[TokenKey]) -> usize {
        let pages = self.prefixes.find(&keys[..keys.len().saturating_sub(1)]);
        pages.iter().for_each(|&page| self.pages.retain(page));
        let len = pages.len() * PAGE_TOKENS;
        self.tables.insert(id, PageTable { pages, len });
        len
    }

    /// Removes a sequence and keeps its full pages while there is memory. `keys` are those of its tokens.
    pub(crate) fn keep(&mut self, id: SequenceId, keys: &[TokenKey], max_kept: usize) {
        if let Some(table) = self.tables.get(&id) {
            self.prefixes.insert(&keys[..keys.len().min(table.len)], &table.pages, &mut self.pages);
        }
        self.remove(id);
        while self.prefixes.len() > max_kept / PAGE_TOKENS && self.prefixes.evict(&mut self.pages) {}
    }

    pub(crate) fn len(&self, id: SequenceId) -> usize {
        self.tables.get(&id).map_or(0, |table| table.len)
    }

    pub(crate) fn truncate(&mut self, id: SequenceId, len: usize) {
        if let Some(table) = self.tables.get_mut(&id) {
            table.len = table.len.min(len);
            let pages = table.len.div_ceil(PAGE_TOKENS);
            table.pages.drain(pages..).for_each(|page| self.pages.release(page));
        }
    }

    pub(crate) fn used_pages(&self) -> usize {
        self.pages.used()
    }

    pub(crate) fn remove(&mut self, id: SequenceId) {
        if let Some(table) = self.tables.remove(&id) {
            table.pages.into_iter().for_each(|page| self.pages.release(page));
        }
    }

    /// A sequence with the tokens of another one. It shares the pages; a partly filled one is copied when either grows.
    pub(crate) fn fork(&mut self, source: SequenceId, id: SequenceId) {
        let table = self.tables.get(&source).cloned().unwrap_or_default();
        table.pages.iter().for_each(|&page| self.pages.retain(page));
        self.tables.insert(id, table);
    }

    /// Runs new tokens of sequences through the model. Returns the logits of those that want them,
    /// `[rows, vocabulary]`.
    pub(crate) fn step(&mut self, model: &PackedModel, inputs: &[StepInput<'_>]) -> Result<Matrix<f32>, Error> {
        self.run(model, inputs, &mut |_| {})?;
        let mut rows = Vec::new();
        let mut first = 0;
        for input in inputs {
            let end = first + input.tokens.len();
            rows.extend(end - input.logit_rows()..end);
            first = end;
        }
        Ok(model.logits(&self.x, &rows, &mut self.normed))
    }

    /// Runs new tokens through the layers. Returns their outputs before the final norm, one row per token.
    pub(crate) fn run(
        &mut self,
        model: &PackedModel,
        inputs: &[StepInput<'_>],
        observe: &mut dyn FnMut(&Matrix<f32>),
    ) -> Result<&Matrix<f32>, Error> {
        self.embed(model, inputs)?;
        inputs.iter().try_for_each(|input| self.make_room(input.sequence, input.tokens.len()))?;
        let segments: Vec<Segment<'_>> = inputs
            .iter()
            .filter_map(|input| {
                let table = self.tables.get(&input.sequence)?;
                let precision = if input.generated { Precision::High } else { Precision::Fast };
                Some(Segment { pages: &table.pages, start: table.len, tokens: input.tokens.len(), precision })
            })
            .collect();
        model.text.forward(&mut self.x, &segments, &mut self.pages, &mut self.workspace, observe);
        for input in inputs {
            if let Some(table) = self.tables.get_mut(&input.sequence) {
                table.len += input.tokens.len();
            }
        }
        Ok(&self.x)
    }

    /// Fills the residual stream with token embeddings and image features.
    fn embed(&mut self, model: &PackedModel, inputs: &[StepInput<'_>]) -> Result<(), Error> {
        enum Row<'a> {
            Token(u32),
            Feature(&'a [f32]),
        }
        let (hidden, image) = (model.config.text.hidden_size, model.config.image_token_id);
        let features: Vec<Option<HostValues>> =
            inputs.iter().map(|input| input.features.clone().map(HostValues::of)).collect();
        let mut rows = Vec::new();
        for (input, features) in inputs.iter().zip(&features) {
            input.check(&model.config)?;
            let mut features = features.as_ref().map(|features| features.chunks_exact(hidden));
            rows.extend(input.tokens.iter().map(|&token| {
                let feature = features.as_mut().filter(|_| token == image).and_then(Iterator::next);
                feature.map_or(Row::Token(token), Row::Feature)
            }));
        }
        self.x.fill(&Pool::current(), rows.len(), hidden, |row, out| match rows[row] {
            Row::Token(token) => model.embeddings.read_row(token as usize, out),
            Row::Feature(feature) => out.copy_from_slice(feature),
        });
        Ok(())
    }

    /// Gives a sequence pages of its own for `tokens` more tokens.
    fn make_room(&mut self, id: SequenceId, tokens: usize) -> Result<(), Error> {
        let Self { pages, tables, prefixes, .. } = self;
        let Some(table) = tables.get_mut(&id) else { return Err(Error::UnknownSequence) };
        // Tokens are added to the last page if it has room.
        if !table.len.is_multiple_of(PAGE_TOKENS)
            && let Some(last) = table.pages.last_mut()
            && pages.is_shared(*last)
        {
            let filled = table.len % PAGE_TOKENS;
            let own = with_eviction(pages, prefixes, tokens, |pages| pages.copy(*last, filled))?;
            pages.release(*last);
            *last = own;
        }
        while table.pages.len() * PAGE_TOKENS < table.len + tokens {
            table.pages.push(with_eviction(pages, prefixes, tokens, KvPages::allocate)?);
        }
        Ok(())
    }
}

/// Allocates a page; pages of earlier sequences make room.
fn with_eviction(
    pages: &mut KvPages,
    prefixes: &mut PrefixTree,
    tokens: usize,
    allocate: impl Fn(&mut KvPages) -> Option<PageId>,
) -> Result<PageId, Error> {
    loop {
        if let Some(page) = allocate(pages) {
            return Ok(page);
        }
        if !prefixes.evict(pages) {
            return Err(Error::OutOfPages { tokens, free: pages.free() * PAGE_TOKENS });
        }
    }
}
