//! Sequences on a GPU: keys and values are in shared pages, and sequences with one new token each are decoded together.

use super::page_tables::PageTables;
use super::split::{decoded_inputs, with_prompts};
use super::{SequenceId, StepInput, TokenKey};
use crate::{Error, HostTensor, ModelInputs, SmolVlmModel};
use smolvlm_kernels::gpu::GpuStream;
use smolvlm_kernels::{PAGE_TOKENS, PageStore, TopTokens};
use smolvlm_text::{GpuDecoder, GpuPages, GpuPrompts, GpuRow, KvCache};

/// The capacity of the memory for prompts is a multiple of this.
const PROMPT_TOKENS: usize = 1024;

/// The sequences of a model on a GPU.
#[derive(Debug)]
pub(super) struct GpuSequences {
    tables: PageTables,
    pages: GpuPages,
    /// Whole prompts, created with the first one.
    recorded: Option<GpuPrompts>,
    /// Contiguous memory for other prompts, with the sequence whose tokens it holds.
    prompt: Option<(SequenceId, KvCache)>,
    stream: GpuStream,
}

impl GpuSequences {
    pub(super) fn new(decoder: &GpuDecoder, max_tokens: usize) -> Self {
        let pages = GpuPages::new(decoder, max_tokens.div_ceil(PAGE_TOKENS));
        Self { tables: PageTables::default(), pages, recorded: None, prompt: None, stream: GpuStream::current() }
    }

    pub(super) fn add(&mut self, id: SequenceId) {
        self.tables.add(id);
    }

    pub(super) fn resume(&mut self, id: SequenceId, keys: &[TokenKey]) -> usize {
        self.tables.resume(id, keys, &mut self.pages)
    }

    pub(super) fn keep(&mut self, id: SequenceId, keys: &[TokenKey], max_kept: usize) {
        self.tables.keep(id, keys, max_kept, &mut self.pages);
    }

    pub(super) fn len(&self, id: SequenceId) -> usize {
        self.tables.len(id)
    }

    pub(super) fn used_pages(&self) -> usize {
        self.pages.references().used()
    }

    pub(super) fn remove(&mut self, id: SequenceId) {
        self.tables.remove(id, &mut self.pages);
    }

    pub(super) fn fork(&mut self, source: SequenceId, id: SequenceId) {
        self.tables.fork(source, id, &mut self.pages);
    }

    /// Number of tokens for which there can be memory.
    pub(super) fn max_tokens(&self) -> usize {
        self.pages.references().max_pages() * PAGE_TOKENS
    }

    /// Runs new tokens of each sequence; sequences with one text token run together.
    pub(super) fn step(&mut self, model: &SmolVlmModel, inputs: &[StepInput<'_>]) -> Result<Vec<f32>, Error> {
        let decoder = model.gpu_decoder().ok_or(Error::UnknownSequence)?;
        inputs.iter().try_for_each(|input| input.check(model.config()))?;
        let stream = self.stream;
        stream.run(|| {
            // Nothing changes if there is no room for one of them.
            let mut rooms = inputs.iter().map(|input| (input.sequence, input.tokens.len()));
            rooms.try_for_each(|(id, tokens)| self.tables.make_room(id, tokens, &mut self.pages))?;
            self.run(model, decoder, inputs)
        })
    }

    fn run(&mut self, model: &SmolVlmModel, decoder: &GpuDecoder, inputs: &[StepInput<'_>]) -> Result<Vec<f32>, Error> {
        let next = decoded_inputs(inputs, |id| self.len(id));
        let mut decoded = Vec::new();
        if !next.is_empty() {
            self.launch(decoder, &next)?;
            decoded = self.pages.logits(decoder).map_err(|error| Error::device(&error))?;
        }
        let vocabulary = model.config().text.vocab_size;
        with_prompts(inputs, &next, &decoded, vocabulary, |input| self.prefill(model, decoder, input))
    }

    /// Runs one more token of each sequence; see [`Network::step_argmax`](crate::Network::step_argmax).
    pub(super) fn step_argmax(
        &mut self,
        model: &SmolVlmModel,
        inputs: &[(SequenceId, u32)],
    ) -> Result<Vec<(u32, f32)>, Error> {
        self.decode(model, inputs, |pages, decoder| pages.argmax(decoder))
    }

    /// Runs one more token of each sequence; see [`Network::step_top`](crate::Network::step_top).
    pub(super) fn step_top(
        &mut self,
        model: &SmolVlmModel,
        inputs: &[(SequenceId, u32)],
        count: usize,
    ) -> Result<Vec<Option<TopTokens>>, Error> {
        self.decode(model, inputs, |pages, decoder| pages.top(decoder, count))
    }

    /// The logits of a row of the last step.
    pub(super) fn last_logits(&self, model: &SmolVlmModel, row: usize) -> Result<Vec<f32>, Error> {
        let decoder = model.gpu_decoder().ok_or(Error::UnknownSequence)?;
        self.stream.run(|| self.pages.row_logits(decoder, row)).map_err(|error| Error::device(&error))
    }

    /// Runs one more token of each sequence and reads the results.
    fn decode<T>(
        &mut self,
        model: &SmolVlmModel,
        inputs: &[(SequenceId, u32)],
        read: impl FnOnce(&mut GpuPages, &GpuDecoder) -> Result<Vec<T>, String>,
    ) -> Result<Vec<T>, Error> {
        let decoder = model.gpu_decoder().ok_or(Error::UnknownSequence)?;
        for (sequence, token) in inputs {
            StepInput::text(*sequence, &[*token]).check(model.config())?;
        }
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let stream = self.stream;
        stream.run(|| {
            inputs.iter().try_for_each(|(id, _)| self.tables.make_room(*id, 1, &mut self.pages))?;
            self.launch(decoder, inputs)?;
            read(&mut self.pages, decoder).map_err(|error| Error::device(&error))
        })
    }

    /// Launches a decoding step for one token of each sequence, for which there is room.
    fn launch(&mut self, decoder: &GpuDecoder, inputs: &[(SequenceId, u32)]) -> Result<(), Error> {
        // Room for one token more, so that the GPU can run ahead.
        inputs.iter().for_each(|(id, _)| self.tables.make_spare_room(*id, 2, &mut self.pages));
        let Self { tables, pages, .. } = self;
        let row = |&(id, token): &(SequenceId, u32)| {
            let table = tables.get(id).ok_or(Error::UnknownSequence)?;
            Ok(GpuRow { id: id.0, token, len: table.len, pages: &table.pages })
        };
        let rows = inputs.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
        pages.step(decoder, &rows);
        inputs.iter().for_each(|(id, _)| self.tables.advance(*id, 1));
        Ok(())
    }

    /// Runs new tokens of one sequence, for which there is room, and copies their keys and values to its pages.
    fn prefill(
        &mut self,
        model: &SmolVlmModel,
        decoder: &GpuDecoder,
        input: &StepInput<'_>,
    ) -> Result<Vec<f32>, Error> {
        let (id, tokens) = (input.sequence, input.tokens.len());
        let Some(table) = self.tables.get(id) else { return Err(Error::UnknownSequence) };
        let (start, end) = (table.len, table.len + tokens);
        let inputs =
            ModelInputs { input_ids: input.tokens.to_vec(), padding: vec![0], features: input.features.clone() };
        let logits = if start == 0 && GpuPrompts::suits(decoder, tokens) {
            let recorded = self.recorded.get_or_insert_with(|| GpuPrompts::new(decoder));
            let hidden = recorded.run(decoder, &model.text, model.merge(&inputs)?)?;
            self.pages.store_prompt(recorded, tokens, &table.pages);
            let kept = input.logits.count(tokens);
            let logits = (kept > 0).then(|| model.logits(hidden.narrow(1, tokens - kept, kept)));
            logits.map_or(Ok(Vec::new()), |logits| HostTensor::read(logits).map(|logits| logits.data))?
        } else {
            let capacity = end.next_multiple_of(PROMPT_TOKENS);
            let (known, mut cache) = match self.prompt.take() {
                Some((known, cache)) => (known == id && cache.len() == start, cache),
                None => (false, model.new_cache(&[0], capacity)),
            };
            if !known {
                cache.truncate(0);
            }
            cache.reserve(&model.config().text, capacity);
            if !known {
                self.pages.load(decoder, &table.pages, start, &mut cache);
            }
            let logits = model.run(&inputs, &mut cache, input.logits)?;
            self.pages.store(decoder, &mut cache, start..end, &table.pages);
            self.prompt = Some((id, cache));
            logits
        };
        self.tables.advance(id, tokens);
        Ok(logits)
    }
}
