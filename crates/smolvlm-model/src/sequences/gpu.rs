//! Sequences on a GPU: keys and values are in shared pages, and sequences with one new token each are decoded together.

use super::page_tables::PageTables;
use super::{SequenceId, StepInput, TokenKey};
use crate::{Error, HostTensor, KeepLogits, ModelInputs, SmolVlmModel};
use smolvlm_kernels::{PAGE_TOKENS, PageStore};
use smolvlm_text::{GpuDecoder, GpuPages, GpuPrompts, GpuRow, KvCache};
use std::collections::HashMap;

/// The capacities of the caches for prompts are multiples of this.
const PROMPT_TOKENS: usize = 1024;

/// The sequences of a model on a GPU.
#[derive(Debug)]
pub(super) struct GpuSequences {
    tables: PageTables,
    pages: GpuPages,
    /// Whole prompts, created with the first one.
    recorded: Option<GpuPrompts>,
    /// Contiguous copies of the sequences whose prompts are in progress.
    prompts: HashMap<SequenceId, KvCache>,
    /// A cache of an earlier prompt, for the next one.
    idle: Option<KvCache>,
}

impl GpuSequences {
    pub(super) fn new(decoder: &GpuDecoder, max_tokens: usize) -> Self {
        let pages = GpuPages::new(decoder, max_tokens.div_ceil(PAGE_TOKENS));
        Self { tables: PageTables::default(), pages, recorded: None, prompts: HashMap::new(), idle: None }
    }

    pub(super) fn add(&mut self, id: SequenceId) {
        self.tables.add(id);
    }

    pub(super) fn resume(&mut self, id: SequenceId, keys: &[TokenKey]) -> usize {
        self.tables.resume(id, keys, &mut self.pages)
    }

    pub(super) fn keep(&mut self, id: SequenceId, keys: &[TokenKey], max_kept: usize) {
        self.end_prompt(id);
        self.tables.keep(id, keys, max_kept, &mut self.pages);
    }

    pub(super) fn len(&self, id: SequenceId) -> usize {
        self.tables.len(id)
    }

    pub(super) fn used_pages(&self) -> usize {
        self.pages.references().used()
    }

    pub(super) fn remove(&mut self, id: SequenceId) {
        self.end_prompt(id);
        self.tables.remove(id, &mut self.pages);
    }

    pub(super) fn fork(&mut self, source: SequenceId, id: SequenceId) {
        self.tables.fork(source, id, &mut self.pages);
    }

    /// Runs new tokens of each sequence; sequences with one text token run together.
    pub(super) fn step(&mut self, model: &SmolVlmModel, inputs: &[StepInput<'_>]) -> Result<Vec<f32>, Error> {
        let decoder = model.gpu_decoder().ok_or(Error::UnknownSequence)?;
        inputs.iter().try_for_each(|input| input.check(model.config()))?;
        let decodes = |input: &&StepInput<'_>| {
            input.tokens.len() == 1 && input.features.is_none() && self.len(input.sequence) > 0
        };
        let next: Vec<(SequenceId, u32)> =
            inputs.iter().filter(decodes).map(|input| (input.sequence, input.tokens[0])).collect();
        let vocabulary = model.config().text.vocab_size;
        let decoded = match self.launch(decoder, &next)? {
            true => self.pages.logits(decoder).map_err(|error| Error::device(&error))?,
            false => Vec::new(),
        };
        let mut decoded = decoded.chunks_exact(vocabulary);
        let mut decoding = next.iter().map(|(id, _)| *id).peekable();
        let mut logits = Vec::new();
        for input in inputs {
            if decoding.next_if_eq(&input.sequence).is_some() {
                let row = decoded.next().unwrap_or_default();
                if input.logits != KeepLogits::None {
                    logits.extend_from_slice(row);
                }
            } else {
                logits.extend(self.prefill(model, decoder, input)?);
            }
        }
        Ok(logits)
    }

    /// Runs one more token of each sequence; see [`Network::step_argmax`](crate::Network::step_argmax).
    pub(super) fn step_argmax(
        &mut self,
        model: &SmolVlmModel,
        inputs: &[(SequenceId, u32)],
    ) -> Result<Vec<(u32, f32)>, Error> {
        let decoder = model.gpu_decoder().ok_or(Error::UnknownSequence)?;
        for (sequence, token) in inputs {
            StepInput::text(*sequence, &[*token]).check(model.config())?;
        }
        match self.launch(decoder, inputs)? {
            true => self.pages.argmax(decoder).map_err(|error| Error::device(&error)),
            false => Ok(Vec::new()),
        }
    }

    /// Launches a decoding step for one token of each sequence; false without sequences.
    fn launch(&mut self, decoder: &GpuDecoder, inputs: &[(SequenceId, u32)]) -> Result<bool, Error> {
        if inputs.is_empty() {
            return Ok(false);
        }
        for (id, _) in inputs {
            self.end_prompt(*id);
            // Room for one token more, so that the GPU can run ahead; it must not fail for lack of that.
            if self.tables.make_room(*id, 2, &mut self.pages).is_err() {
                self.tables.make_room(*id, 1, &mut self.pages)?;
            }
        }
        let Self { tables, pages, .. } = self;
        let row = |&(id, token): &(SequenceId, u32)| {
            let table = tables.get(id).ok_or(Error::UnknownSequence)?;
            Ok(GpuRow { id: id.0, token, len: table.len, pages: &table.pages })
        };
        let rows = inputs.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
        pages.step(decoder, &rows);
        inputs.iter().for_each(|(id, _)| self.tables.advance(*id, 1));
        Ok(true)
    }

    /// Runs new tokens of one sequence, and copies their keys and values to its pages.
    fn prefill(
        &mut self,
        model: &SmolVlmModel,
        decoder: &GpuDecoder,
        input: &StepInput<'_>,
    ) -> Result<Vec<f32>, Error> {
        let (id, tokens) = (input.sequence, input.tokens.len());
        self.tables.make_room(id, tokens, &mut self.pages)?;
        let Some(table) = self.tables.get(id) else { return Err(Error::UnknownSequence) };
        let (start, end) = (table.len, table.len + tokens);
        let inputs =
            ModelInputs { input_ids: input.tokens.to_vec(), padding: vec![0], features: input.features.clone() };
        if start == 0 && tokens <= GpuPrompts::MAX_TOKENS {
            let text = &model.config().text;
            let recorded = self.recorded.get_or_insert_with(|| GpuPrompts::new(&model.text, text));
            let (hidden, cache) = recorded.run(&model.text, text, model.merge(&inputs)?)?;
            self.pages.store(decoder, cache, 0..tokens, &table.pages);
            self.tables.advance(id, tokens);
            let kept = input.logits.count(tokens);
            let logits = (kept > 0).then(|| model.logits(hidden.narrow(1, tokens - kept, kept)));
            return logits.map_or(Ok(Vec::new()), |logits| Ok(HostTensor::read(logits)?.data));
        }
        let capacity = end.next_multiple_of(PROMPT_TOKENS);
        let known = self.prompts.remove(&id);
        let loads = known.is_none() && start > 0;
        let cache = known.or_else(|| self.idle.take());
        let mut cache = cache.unwrap_or_else(|| model.new_cache(&[0], capacity));
        cache.reserve(&model.config().text, capacity);
        if loads {
            self.pages.load(decoder, &table.pages, start, &mut cache);
        }
        let logits = model.run(&inputs, &mut cache, input.logits)?;
        self.pages.store(decoder, &mut cache, start..end, &table.pages);
        self.tables.advance(id, tokens);
        self.prompts.insert(id, cache);
        Ok(logits)
    }

    /// Gives back the contiguous copy of a sequence.
    fn end_prompt(&mut self, id: SequenceId) {
        if let Some(mut cache) = self.prompts.remove(&id) {
            cache.truncate(0);
            self.idle = Some(cache);
        }
    }
}
