//! The generation loop: a batch is prefilled once, then every step makes one token for each row that is not finished.

use crate::features::MediaFeatures;
use crate::prefill::joined;
use crate::prefix::CachedPrefix;
use crate::row::Row;
use crate::{Cancel, Error, Generation, SmolVlm, Timings};
use burn::tensor::Tensor;
use smolvlm_generate::{Choice, FinishReason, SamplingParams};
use smolvlm_model::{KvCache, ModelInputs};
use smolvlm_processor::{Batch, Conversation};
use std::time::{Duration, Instant};

/// A batch on its way from prompts to answers.
pub(crate) struct Run<'m> {
    owner: &'m SmolVlm,
    params: SamplingParams,
    cancel: Cancel,
    /// The inputs, until they are prefilled, with the features of known media.
    waiting: Option<(Batch, Vec<MediaFeatures>)>,
    /// What an earlier turn left of the prompt, until it is used. Only for a batch of one row.
    earlier: Option<CachedPrefix>,
    cache: Option<KvCache>,
    rows: Vec<Row<'m>>,
    /// The rows that the cache holds: those that are not finished, but one at least.
    active: Vec<usize>,
    next: Next,
    /// Features of each medium of the batch, once they are known.
    pub(crate) features: Vec<MediaFeatures>,
    has_features: bool,
    cached_tokens: usize,
    deadline: Option<Instant>,
    timings: Timings,
}

/// What is known of the next token of the active rows.
enum Next {
    /// Logits of all tokens, `[active rows, vocabulary]`.
    Logits(Vec<f32>),
    /// The likeliest token of each row, and its logit.
    Likeliest(Vec<(u32, f32)>),
}

impl<'m> Run<'m> {
    /// Processes the conversations; the model is not used yet.
    pub(crate) fn new(
        owner: &'m SmolVlm,
        conversations: &[Conversation],
        params: &SamplingParams,
        cancel: Cancel,
    ) -> Result<Self, Error> {
        let params = owner.completed(params)?;
        let clock = Instant::now();
        let batch = owner.process(conversations, &params)?;
        Self::of_batch(owner, batch, Vec::new(), params, cancel, clock.elapsed())
    }

    /// A run of a processed batch; `known` are the features of its known media in their order, `process` is the time that
    /// processing took.
    pub(crate) fn of_batch(
        owner: &'m SmolVlm,
        batch: Batch,
        known: Vec<MediaFeatures>,
        params: SamplingParams,
        cancel: Cancel,
        process: Duration,
    ) -> Result<Self, Error> {
        let texts = params.num_return_sequences;
        let mut rows = Vec::with_capacity(batch.rows * texts);
        for row in 0..batch.rows {
            for text in 0..texts {
                let ids = owner.prompt_ids(&batch, row)?;
                let mut text = Row::new(owner, &params, ids, &batch.prompts[row], row * texts + text)?;
                text.notes = batch.notes(row);
                rows.push(text);
            }
        }
        // A time too far away to be counted never comes.
        let deadline = params.max_time.and_then(|time| Instant::now().checked_add(time));
        Ok(Self {
            owner,
            cancel,
            waiting: Some((batch, known)),
            earlier: None,
            cache: None,
            active: (0..rows.len()).collect(),
            rows,
            next: Next::Logits(Vec::new()),
            features: Vec::new(),
            has_features: false,
            cached_tokens: 0,
            deadline,
            timings: Timings { process, ..Timings::default() },
            params,
        })
    }

    /// Goes on from what an earlier prompt left, as far as the two are the same. Only for a run of one row.
    pub(crate) fn continuing(mut self, earlier: Option<CachedPrefix>) -> Self {
        self.earlier = earlier;
        self
    }

    /// Whether every row has its answer.
    pub(crate) fn is_finished(&self) -> bool {
        self.rows.iter().all(|row| row.finished.is_some())
    }

    /// Makes one more token for every row that is not finished; gives each row's new text. The first step encodes the media
    /// and makes none, so that other requests wait for no more than one part of this one.
    pub(crate) fn step(&mut self) -> Result<Vec<Option<String>>, Error> {
        if self.cancel.is_cancelled() {
            return self.end(FinishReason::Cancelled);
        }
        let clock = Instant::now();
        if let Some((batch, known)) = self.waiting.as_ref().filter(|_| !self.has_features) {
            match self.owner.media_features(batch, known, &self.cancel) {
                Err(Error::Cancelled) => return self.end(FinishReason::Cancelled),
                other => self.features = other?,
            }
            self.has_features = true;
            self.timings.vision = clock.elapsed();
            return Ok(vec![None; self.rows.len()]);
        }
        let first = self.waiting.is_some();
        if let Some((batch, _)) = self.waiting.take() {
            match self.prefill(&batch) {
                Err(Error::Cancelled) => return self.end(FinishReason::Cancelled),
                other => other?,
            }
        } else if let Some(cache) = &mut self.cache {
            let last = |&row: &usize| self.rows[row].ids().last().copied().unwrap_or_default();
            let tokens: Vec<u32> = self.active.iter().map(last).collect();
            let model = &self.owner.model;
            // Nothing else needs to leave the device.
            let likeliest = !self.owner.device().device.is_processor() && self.rows.iter().all(Row::takes_likeliest);
            self.next = if likeliest {
                Next::Likeliest(model.decode_argmax(&tokens, cache)?)
            } else {
                Next::Logits(model.decode(&tokens, cache)?)
            };
            self.timings.decode_steps += 1;
        }
        let deltas = self.choose()?;
        if first {
            self.timings.prefill = clock.elapsed();
        } else {
            self.timings.decode += clock.elapsed();
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let rest = self.end(FinishReason::Time)?;
            return Ok(deltas.into_iter().zip(rest).map(|(delta, rest)| with_rest(delta, rest)).collect());
        }
        Ok(deltas)
    }

    /// Runs the prompts through the model.
    fn prefill(&mut self, batch: &Batch) -> Result<(), Error> {
        let owner = self.owner;
        let new_tokens = |row: &Row<'_>| {
            let room = owner.config.text.max_position_embeddings.saturating_sub(row.prompt_len);
            self.params.limit(row.prompt_len).map_or(1, |limit| limit.min(room))
        };
        // The last token of an answer is never fed back, so it needs no place in the cache.
        let capacity = batch.len + self.rows.iter().map(new_tokens).max().unwrap_or(1) - 1;
        let chunk = self.params.prefill_chunk.unwrap_or(usize::MAX);
        let mut logits = match self.earlier.take() {
            Some(earlier) => self.prefill_after(earlier, batch, capacity, chunk)?,
            None => {
                let (cache, logits) = owner.prefill(batch, &self.features, capacity, chunk, &self.cancel)?;
                self.cache = Some(cache);
                logits
            }
        };
        let texts = self.params.num_return_sequences;
        if let Some(cache) = self.cache.as_mut().filter(|_| texts > 1) {
            select_rows(cache, (0..batch.rows).flat_map(|row| std::iter::repeat_n(row, texts)))?;
            let vocabulary = logits.len() / batch.rows;
            logits = logits.chunks_exact(vocabulary).flat_map(|row| row.repeat(texts)).collect();
        }
        self.next = Next::Logits(logits);
        Ok(())
    }

    /// Runs the part of a prompt of one row that an earlier prompt does not share. At least one token is run: its logits are
    /// needed.
    fn prefill_after(
        &mut self,
        earlier: CachedPrefix,
        batch: &Batch,
        capacity: usize,
        chunk: usize,
    ) -> Result<Vec<f32>, Error> {
        let config = &self.owner.config;
        let shared = earlier.shared(&batch.input_ids, &self.features, config.image_token_id, config.image_seq_len());
        let shared = shared.min(batch.len.saturating_sub(1));
        let mut cache = earlier.cache;
        cache.truncate(shared);
        cache.reserve(&config.text, capacity);
        self.cached_tokens = shared;
        let inputs = self.owner.inputs_behind(batch, joined(&self.features), shared);
        let logits = self.owner.run_prompts(&inputs, &mut cache, chunk, &self.cancel);
        // After any other error nobody knows what it holds.
        if matches!(logits, Ok(_) | Err(Error::Cancelled)) {
            self.cache = Some(cache);
        }
        logits
    }

    /// Chooses the next token of every active row; rows that finish leave the cache, so that they cost nothing from here on.
    fn choose(&mut self) -> Result<Vec<Option<String>>, Error> {
        let mut deltas = vec![None; self.rows.len()];
        match &mut self.next {
            Next::Logits(logits) => {
                let vocabulary = logits.len() / self.active.len().max(1);
                for (&row, logits) in self.active.iter().zip(logits.chunks_exact_mut(vocabulary.max(1))) {
                    deltas[row] = self.rows[row].step(logits)?;
                }
            }
            Next::Likeliest(tokens) => {
                for (&row, &(token, logit)) in self.active.iter().zip(tokens.iter()) {
                    if logit.is_nan() || logit == f32::NEG_INFINITY {
                        let vocabulary = self.owner.config.text.vocab_size;
                        return Err(smolvlm_generate::Error::NoNumber { vocabulary }.into());
                    }
                    deltas[row] = self.rows[row].push(Choice { token, logprob: None })?;
                }
            }
        }
        let going: Vec<usize> =
            (0..self.active.len()).filter(|&place| self.rows[self.active[place]].finished.is_none()).collect();
        if !going.is_empty() && going.len() < self.active.len() {
            if let Some(cache) = &mut self.cache {
                select_rows(cache, going.iter().copied())?;
            }
            self.active = going.into_iter().map(|place| self.active[place]).collect();
        }
        Ok(deltas)
    }

    /// Ends all rows with what they have.
    fn end(&mut self, reason: FinishReason) -> Result<Vec<Option<String>>, Error> {
        self.rows.iter_mut().map(|row| row.end(reason)).collect()
    }

    /// What the next turn can go on with, at any time in a run of one row.
    pub(crate) fn take_cached(&mut self) -> Option<CachedPrefix> {
        if let Some(unused) = self.earlier.take() {
            return Some(unused);
        }
        let [row] = self.rows.as_slice() else { return None };
        CachedPrefix::new(self.cache.take()?, row.ids(), &self.features)
    }

    /// The answers, in the order of the conversations, each with as many texts as were asked for.
    pub(crate) fn into_generations(self) -> Vec<Generation> {
        let (timings, cached_tokens) = (self.timings, self.cached_tokens);
        let generation = |row: Row<'_>| Generation {
            token_ids: row.tokens().to_vec(),
            text: row.text,
            prompt_tokens: row.prompt_len,
            cached_tokens,
            finish_reason: row.finished.unwrap_or(FinishReason::Length),
            logprobs: row.logprobs,
            score: None,
            notes: row.notes,
            timings,
        };
        self.rows.into_iter().map(generation).collect()
    }
}

/// Goes on with these rows of a cache.
pub(crate) fn select_rows(cache: &mut KvCache, rows: impl IntoIterator<Item = usize>) -> Result<(), Error> {
    let rows: Vec<usize> = rows.into_iter().collect();
    Ok(cache.select_rows(&rows).map_err(smolvlm_model::Error::from)?)
}

fn with_rest(delta: Option<String>, rest: Option<String>) -> Option<String> {
    match (delta, rest) {
        (Some(delta), Some(rest)) => Some(delta + &rest),
        (delta, rest) => delta.or(rest),
    }
}

impl SmolVlm {
    /// Checked parameters with the checkpoint's end tokens where the caller names none.
    pub(crate) fn completed(&self, params: &SamplingParams) -> Result<SamplingParams, Error> {
        let params = params.clone().or_eos_of(self.generation());
        params.validate()?;
        Ok(params)
    }

    /// A row's prompt without its padding; an error if it leaves no room for an answer.
    pub(crate) fn prompt_ids(&self, batch: &Batch, row: usize) -> Result<Vec<u32>, Error> {
        let (prompt, context) = (batch.prompt_len(row), self.config.text.max_position_embeddings);
        if prompt >= context {
            return Err(Error::PromptTooLong { row, prompt, context });
        }
        Ok(batch.input_ids[(row + 1) * batch.len - prompt..(row + 1) * batch.len].to_vec())
    }

    /// The tokens of a batch of one row behind the first `start` ones, with the features that stand for them.
    fn inputs_behind(&self, batch: &Batch, features: Option<Tensor<2>>, start: usize) -> ModelInputs {
        let (before, behind) = batch.input_ids.split_at(start);
        let image = self.config.image_token_id;
        let seen = before.iter().filter(|&&id| id == image).count();
        let features = features.and_then(|features| {
            let rest = features.dims()[0].saturating_sub(seen);
            (rest > 0).then(|| features.narrow(0, seen, rest))
        });
        ModelInputs { input_ids: behind.to_vec(), padding: vec![0], features }
    }
}
