//! Sequences on tensors: rows of one KV cache once they decode together, a cache of their own before that.

use super::split::{decoded_inputs, with_prompts};
use super::{SequenceId, Sequences, StepInput, TokenKey};
use crate::{Error, ModelInputs, SmolVlmModel};
use smolvlm_text::KvCache;
use std::collections::{HashMap, VecDeque};

/// Room for new tokens when a cache is allocated or grows.
const SPARE_TOKENS: usize = 256;

/// The sequences of a model on tensors.
#[derive(Debug, Default)]
pub(super) struct TensorSequences {
    /// Sequences that decode together, in the order of the rows of `batch`.
    rows: Vec<SequenceId>,
    batch: Option<KvCache>,
    /// Caches of one row of sequences that are not in the batch.
    alone: HashMap<SequenceId, KvCache>,
    /// The last sequences that were kept, with the keys of their tokens, oldest first.
    kept: VecDeque<(Vec<TokenKey>, KvCache)>,
}

/// Sequences that are kept: each holds its own memory.
const MAX_KEPT: usize = 2;

impl TensorSequences {
    pub(super) fn len(&self, id: SequenceId) -> usize {
        match (self.row(id), &self.batch) {
            (Some(row), Some(batch)) => batch.position(row, batch.len()),
            _ => self.alone.get(&id).map_or(0, KvCache::len),
        }
    }

    /// Number of pages that would hold the tokens of all sequences, those that are kept included.
    pub(super) fn used_pages(&self) -> usize {
        let running = self.rows.iter().filter(|row| **row != REMOVED).chain(self.alone.keys()).map(|&id| self.len(id));
        let kept = self.kept.iter().map(|(keys, _)| keys.len());
        running.chain(kept).map(|tokens| tokens.div_ceil(Sequences::PAGE_TOKENS)).sum()
    }

    pub(super) fn remove(&mut self, id: SequenceId) {
        self.alone.remove(&id);
        // Rows of the batch leave with the next step, together.
        self.rows.iter_mut().filter(|row| **row == id).for_each(|row| *row = REMOVED);
        if self.rows.iter().all(|row| *row == REMOVED) {
            self.rows.clear();
            self.batch = None;
        }
    }

    /// See [`Sequences::resume`](super::Sequences::resume). The kept sequence is moved, not copied.
    pub(super) fn resume(&mut self, id: SequenceId, keys: &[TokenKey]) -> usize {
        let shared = |kept: &[TokenKey]| kept.iter().zip(keys).take_while(|(a, b)| a == b).count();
        let longest = |(index, (kept, _)): (usize, &(Vec<TokenKey>, KvCache))| (shared(kept), index);
        let Some((len, index)) = self.kept.iter().enumerate().map(longest).max() else { return 0 };
        let len = len.min(keys.len().saturating_sub(1));
        // A few equal tokens at the start are not worth the loss of a long cache.
        if len == 0 || 2 * len < self.kept[index].0.len() {
            return 0;
        }
        if let Some((_, mut cache)) = self.kept.remove(index) {
            cache.truncate(len);
            self.alone.insert(id, cache);
        }
        len
    }

    /// See [`Sequences::keep`](super::Sequences::keep).
    pub(super) fn keep(&mut self, id: SequenceId, keys: &[TokenKey], max_kept: usize) {
        if let Some(cache) = self.take(id) {
            let keys = keys[..keys.len().min(cache.len())].to_vec();
            self.kept.push_back((keys, cache));
            let tokens =
                |kept: &VecDeque<(Vec<TokenKey>, KvCache)>| kept.iter().map(|(keys, _)| keys.len()).sum::<usize>();
            while self.kept.len() > MAX_KEPT || (tokens(&self.kept) > max_kept && !self.kept.is_empty()) {
                self.kept.pop_front();
            }
        }
    }

    pub(super) fn fork(&mut self, source: SequenceId, id: SequenceId) {
        if let Some(cache) = self.row(source).and_then(|row| self.single(row)) {
            self.alone.insert(id, cache);
        } else if let Some(cache) = self.alone.get(&source).cloned() {
            self.alone.insert(id, cache);
        }
    }

    /// Runs new tokens of each sequence; sequences with one text token run together.
    pub(super) fn step(&mut self, model: &SmolVlmModel, inputs: &[StepInput<'_>]) -> Result<Vec<f32>, Error> {
        inputs.iter().try_for_each(|input| input.check(model.config()))?;
        let next = decoded_inputs(inputs, |id| self.len(id));
        let vocabulary = model.config().text.vocab_size;
        let decoded = match self.gather(model, &next)? {
            Some(batch) => model.decode(&next.iter().map(|(_, token)| *token).collect::<Vec<u32>>(), batch)?,
            None => Vec::new(),
        };
        with_prompts(inputs, &next, &decoded, vocabulary, |input| self.prefill(model, input))
    }

    /// Runs one more token of each sequence; see [`SmolVlmModel::decode_argmax`].
    pub(super) fn step_argmax(
        &mut self,
        model: &SmolVlmModel,
        inputs: &[(SequenceId, u32)],
    ) -> Result<Vec<(u32, f32)>, Error> {
        let tokens: Vec<u32> = inputs.iter().map(|(_, token)| *token).collect();
        match self.gather(model, inputs)? {
            Some(batch) => model.decode_argmax(&tokens, batch),
            None => Ok(Vec::new()),
        }
    }

    /// Runs new tokens of one sequence in a cache of its own.
    fn prefill(&mut self, model: &SmolVlmModel, input: &StepInput<'_>) -> Result<Vec<f32>, Error> {
        let text = &model.config().text;
        let mut cache = self.take(input.sequence);
        let needed = cache.as_ref().map_or(0, KvCache::len) + input.tokens.len();
        if let Some(cache) = cache.as_mut().filter(|cache| cache.capacity() < needed) {
            cache.reserve(text, capacity_for(needed));
        }
        let mut cache = cache.unwrap_or_else(|| model.new_cache(&[0], capacity_for(needed)));
        let inputs =
            ModelInputs { input_ids: input.tokens.to_vec(), padding: vec![0], features: input.features.clone() };
        let logits = model.run(&inputs, &mut cache, input.logits)?;
        self.alone.insert(input.sequence, cache);
        Ok(logits)
    }

    /// Makes the batch consist of these sequences, in their order, with room for a token; none without sequences.
    fn gather(&mut self, model: &SmolVlmModel, inputs: &[(SequenceId, u32)]) -> Result<Option<&mut KvCache>, Error> {
        if inputs.is_empty() {
            return Ok(None);
        }
        let text = &model.config().text;
        let ids = || inputs.iter().map(|(id, _)| *id);
        let same = self.rows.iter().copied().eq(ids());
        let kept: Option<Vec<usize>> = ids().map(|id| self.row(id)).collect();
        if same {
            // The usual case: the sequences of the step before.
        } else if let (Some(rows), Some(batch)) = (&kept, &mut self.batch)
            && self.rows.iter().filter(|row| **row != REMOVED).count() == rows.len()
        {
            batch.select_rows(rows)?;
            self.rows = ids().collect();
        } else {
            let mut caches = Vec::with_capacity(inputs.len());
            for id in ids() {
                caches.push(self.take(id).ok_or(Error::UnknownSequence)?);
            }
            // Sequences that pause keep their tokens.
            for id in self.rows.clone() {
                if id != REMOVED
                    && let Some(cache) = self.take(id)
                {
                    self.alone.insert(id, cache);
                }
            }
            let longest = caches.iter().map(KvCache::len).max().unwrap_or(0);
            self.batch = KvCache::stack(text, &caches, capacity_for(longest))?;
            self.rows = ids().collect();
        }
        if let Some(batch) = self.batch.as_mut().filter(|batch| batch.len() == batch.capacity()) {
            batch.reserve(text, batch.len() + SPARE_TOKENS);
        }
        Ok(self.batch.as_mut())
    }

    fn row(&self, id: SequenceId) -> Option<usize> {
        self.rows.iter().position(|row| *row == id)
    }

    /// Removes a sequence and returns its cache.
    fn take(&mut self, id: SequenceId) -> Option<KvCache> {
        let cache = self.row(id).and_then(|row| self.single(row)).or_else(|| self.alone.remove(&id));
        self.remove(id);
        cache
    }

    /// A copy of a row of the batch, without padding.
    fn single(&self, row: usize) -> Option<KvCache> {
        self.batch.as_ref().map(|batch| batch.row(row))
    }
}

/// The capacity of a cache for this number of tokens and some new ones.
fn capacity_for(tokens: usize) -> usize {
    (tokens + SPARE_TOKENS).next_multiple_of(SPARE_TOKENS)
}

/// The place of a sequence that was removed.
const REMOVED: SequenceId = SequenceId(u64::MAX);
