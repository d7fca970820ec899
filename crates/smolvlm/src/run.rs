//! The generation loop: a batch is prefilled once, then every step makes one token for each row.

use crate::{Error, Generation, SmolVlm, Timings};
use smolvlm_generate::{FinishReason, Sampler, SamplingParams, StopRule};
use smolvlm_model::KvCache;
use smolvlm_processor::{Batch, Conversation, RenderOptions, TextDeltas};
use std::time::Instant;

/// A batch on its way from prompts to answers.
pub(crate) struct Run<'m> {
    owner: &'m SmolVlm,
    cache: KvCache,
    rows: Vec<Row<'m>>,
    /// Logits of the next token, `[rows, vocabulary]`.
    logits: Vec<f32>,
    sampler: Sampler,
    timings: Timings,
}

/// One conversation of the batch.
struct Row<'m> {
    prompt_tokens: usize,
    tokens: Vec<u32>,
    text: String,
    deltas: TextDeltas<'m>,
    stop: StopRule,
    finished: Option<FinishReason>,
}

impl<'m> Run<'m> {
    /// Processes the conversations, encodes their images and runs the prompts through the model.
    pub(crate) fn start(
        owner: &'m SmolVlm,
        conversations: &[Conversation],
        params: &SamplingParams,
    ) -> Result<Self, Error> {
        params.validate()?;
        // Whoever names no end tokens means the checkpoint's.
        let params = &params.clone().or_eos_of(owner.generation());
        let mut timings = Timings::default();
        let clock = Instant::now();
        let batch = owner.processor.process(conversations, &RenderOptions::answer())?;
        let room = room_for_answer(owner, &batch)?;
        timings.process = clock.elapsed();

        let clock = Instant::now();
        let features = owner.image_features(&batch, false)?.map(|images| images.features);
        timings.vision = clock.elapsed();

        let clock = Instant::now();
        // The last token of an answer is never fed back, so it needs no place in the cache.
        let inputs = owner.inputs(&batch, features);
        let mut cache = owner.model.new_cache(&inputs.padding, batch.len + room.min(params.max_new_tokens) - 1);
        let logits = owner.model.prefill(&inputs, &mut cache)?;
        timings.prefill = clock.elapsed();

        let rows = (0..batch.rows).map(|row| Row {
            prompt_tokens: batch.prompt_len(row),
            tokens: Vec::new(),
            text: String::new(),
            deltas: owner.processor.text_deltas(params.skip_special_tokens),
            stop: StopRule::new(params, room),
            finished: None,
        });
        Ok(Self { owner, cache, rows: rows.collect(), logits, sampler: Sampler::greedy(), timings })
    }

    /// Whether every row has its answer.
    pub(crate) fn is_finished(&self) -> bool {
        self.rows.iter().all(|row| row.finished.is_some())
    }

    /// Makes one more token for every row that is not finished; gives each row's new text.
    pub(crate) fn step(&mut self) -> Result<Vec<Option<String>>, Error> {
        let clock = Instant::now();
        if self.rows.iter().any(|row| !row.tokens.is_empty()) {
            let tokens: Vec<u32> = self.rows.iter().map(|row| row.tokens.last().copied().unwrap_or_default()).collect();
            self.logits = self.owner.model.decode(&tokens, &mut self.cache)?;
            self.timings.decode_steps += 1;
        }
        let vocabulary = self.logits.len() / self.rows.len();
        let mut deltas = Vec::with_capacity(self.rows.len());
        for (row, logits) in self.rows.iter_mut().zip(self.logits.chunks_exact(vocabulary)) {
            deltas.push(if row.finished.is_none() { row.accept(self.sampler.sample(logits)?)? } else { None });
        }
        if self.timings.decode_steps == 0 {
            self.timings.prefill += clock.elapsed();
        } else {
            self.timings.decode += clock.elapsed();
        }
        Ok(deltas)
    }

    /// The answers, in the order of the conversations.
    pub(crate) fn into_generations(self) -> Vec<Generation> {
        let timings = self.timings;
        let generation = |row: Row<'_>| Generation {
            text: row.text,
            token_ids: row.tokens,
            prompt_tokens: row.prompt_tokens,
            finish_reason: row.finished.unwrap_or(FinishReason::Length),
            timings,
        };
        self.rows.into_iter().map(generation).collect()
    }
}

impl Row<'_> {
    /// Takes a token in and gives the text that it completes.
    fn accept(&mut self, token: u32) -> Result<Option<String>, Error> {
        self.tokens.push(token);
        self.finished = self.stop.observe(token);
        let mut delta = self.deltas.push(token)?.unwrap_or_default();
        if self.finished.is_some() {
            delta.push_str(&self.deltas.finish()?.unwrap_or_default());
        }
        self.text.push_str(&delta);
        Ok((!delta.is_empty()).then_some(delta))
    }
}

/// How many tokens the model's context holds behind the prompts.
fn room_for_answer(owner: &SmolVlm, batch: &Batch) -> Result<usize, Error> {
    let context = owner.config.text.max_position_embeddings;
    if batch.len >= context {
        let row = (0..batch.rows).find(|&row| batch.prompt_len(row) == batch.len).unwrap_or_default();
        return Err(Error::PromptTooLong { row, prompt: batch.len, context });
    }
    Ok(context - batch.len)
}
