//! The generation loop: one prefill of the batch, then decode steps of one token per unfinished sequence.

use crate::features::MediaFeatures;
use crate::prefill::joined;
use crate::prefix::CachedPrefix;
use crate::sequence::Sequence;
use crate::{Cancel, Error, Generation, SmolVlm, Timings};
use burn::tensor::Tensor;
use smolvlm_generate::{FinishReason, SampledToken, SamplingParams};
use smolvlm_model::{KvCache, ModelInputs};
use smolvlm_processor::{Batch, Conversation};
use std::time::{Duration, Instant};

/// The generation of one batch.
pub(crate) struct Run {
    model: SmolVlm,
    params: SamplingParams,
    cancel: Cancel,
    /// The inputs until prefill, with the features of images and videos that were processed before.
    pending: Option<(Batch, Vec<MediaFeatures>)>,
    /// The cache of an earlier turn, until prefill. Only for a batch of one row.
    cached_prefix: Option<CachedPrefix>,
    cache: Option<KvCache>,
    sequences: Vec<Sequence>,
    /// The sequences in the cache: the unfinished ones, but at least one.
    active: Vec<usize>,
    next: Next,
    /// Features of each image and video of the batch, once computed.
    pub(crate) features: Vec<MediaFeatures>,
    has_features: bool,
    cached_tokens: usize,
    deadline: Option<Instant>,
    timings: Timings,
}

/// Output of the model for the next token of the active sequences.
enum Next {
    /// Logits of all tokens, `[active sequences, vocabulary]`.
    Logits(Vec<f32>),
    /// The token with the highest logit of each sequence, and its logit.
    Argmax(Vec<(u32, f32)>),
}

impl Run {
    /// Preprocesses the conversations, without running the model.
    pub(crate) fn new(
        model: SmolVlm,
        conversations: &[Conversation],
        params: &SamplingParams,
        cancel: Cancel,
    ) -> Result<Self, Error> {
        let params = model.resolve_params(params)?;
        let clock = Instant::now();
        let batch = model.process(conversations, &params)?;
        Self::from_batch(model, batch, Vec::new(), params, cancel, clock.elapsed())
    }

    /// A run of a preprocessed batch. `known` has the features of its
    /// [`Media::Precomputed`](smolvlm_processor::Media::Precomputed), in order; `process` is the time that
    /// preprocessing took.
    pub(crate) fn from_batch(
        model: SmolVlm,
        batch: Batch,
        known: Vec<MediaFeatures>,
        params: SamplingParams,
        cancel: Cancel,
        process: Duration,
    ) -> Result<Self, Error> {
        let texts = params.num_return_sequences;
        let mut sequences = Vec::with_capacity(batch.rows * texts);
        for row in 0..batch.rows {
            for index in 0..texts {
                let ids = model.prompt_ids(&batch, row)?;
                let mut sequence = Sequence::new(&model, &params, ids, &batch.prompts[row], row * texts + index)?;
                sequence.notes = batch.notes(row);
                sequences.push(sequence);
            }
        }
        // No deadline if it is too far in the future to be represented.
        let deadline = params.max_time.and_then(|time| Instant::now().checked_add(time));
        Ok(Self {
            model,
            cancel,
            pending: Some((batch, known)),
            cached_prefix: None,
            cache: None,
            active: (0..sequences.len()).collect(),
            sequences,
            next: Next::Logits(Vec::new()),
            features: Vec::new(),
            has_features: false,
            cached_tokens: 0,
            deadline,
            timings: Timings { process, ..Timings::default() },
            params,
        })
    }

    /// Resumes from the cache of an earlier prompt, up to the common prefix. Only for a run of one row.
    pub(crate) fn resume_from(mut self, cached_prefix: Option<CachedPrefix>) -> Self {
        self.cached_prefix = cached_prefix;
        self
    }

    /// Whether all sequences are finished.
    pub(crate) fn is_finished(&self) -> bool {
        self.sequences.iter().all(|sequence| sequence.finished.is_some())
    }

    /// Steps on the model's threads until there is new text of a run of one row; none at the end.
    pub(crate) fn next_text(&mut self) -> Result<Option<String>, Error> {
        let model = self.model.clone();
        while !self.is_finished() {
            if let Some(text) = model.on_threads(|| self.step())?.into_iter().flatten().next() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Generates one token per unfinished sequence; returns the new text of each sequence. The first step only encodes
    /// the images and videos, so that other requests can run between encoding and prefill.
    pub(crate) fn step(&mut self) -> Result<Vec<Option<String>>, Error> {
        if self.cancel.is_cancelled() {
            return self.end(FinishReason::Cancelled);
        }
        let clock = Instant::now();
        if let Some((batch, known)) = self.pending.as_ref().filter(|_| !self.has_features) {
            match self.model.media_features(batch, known, &self.cancel) {
                Err(Error::Cancelled) => return self.end(FinishReason::Cancelled),
                other => self.features = other?,
            }
            self.has_features = true;
            self.timings.vision = clock.elapsed();
            return Ok(vec![None; self.sequences.len()]);
        }
        let first = self.pending.is_some();
        if let Some((batch, _)) = self.pending.take() {
            match self.prefill(&batch) {
                Err(Error::Cancelled) => return self.end(FinishReason::Cancelled),
                other => other?,
            }
        } else if let Some(cache) = &mut self.cache {
            let last = |&index: &usize| self.sequences[index].ids().last().copied().unwrap_or_default();
            let tokens: Vec<u32> = self.active.iter().map(last).collect();
            let network = &self.model.loaded.network;
            // On a GPU, greedy sampling needs only the argmax on the host.
            let argmax = !self.model.device().device.is_cpu() && self.sequences.iter().all(Sequence::is_greedy);
            self.next = if argmax {
                Next::Argmax(network.decode_argmax(&tokens, cache)?)
            } else {
                Next::Logits(network.decode(&tokens, cache)?)
            };
            self.timings.decode_steps += 1;
        }
        let deltas = self.select_tokens()?;
        if first {
            self.timings.prefill = clock.elapsed();
        } else {
            self.timings.decode += clock.elapsed();
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let rest = self.end(FinishReason::Time)?;
            return Ok(deltas.into_iter().zip(rest).map(|(delta, rest)| joined_text(delta, rest)).collect());
        }
        Ok(deltas)
    }

    /// Runs the prompts through the model.
    fn prefill(&mut self, batch: &Batch) -> Result<(), Error> {
        let model = self.model.clone();
        let new_tokens = |sequence: &Sequence| {
            let room = model.loaded.config.text.max_position_embeddings.saturating_sub(sequence.prompt_len);
            self.params.limit(sequence.prompt_len).map_or(1, |limit| limit.min(room))
        };
        // The last token of an answer is never an input, so it needs no slot in the cache.
        let capacity = batch.len + self.sequences.iter().map(new_tokens).max().unwrap_or(1) - 1;
        let chunk = self.params.prefill_chunk.unwrap_or(usize::MAX);
        let mut logits = match self.cached_prefix.take() {
            Some(cached_prefix) => self.prefill_after(cached_prefix, batch, capacity, chunk)?,
            None => {
                let (cache, logits) = model.prefill(batch, &self.features, capacity, chunk, &self.cancel)?;
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

    /// Prefills the part of a one-row prompt after the prefix shared with an earlier prompt: at least the last token,
    /// whose logits are needed.
    fn prefill_after(
        &mut self,
        cached_prefix: CachedPrefix,
        batch: &Batch,
        capacity: usize,
        chunk: usize,
    ) -> Result<Vec<f32>, Error> {
        let config = &self.model.loaded.config;
        let shared =
            cached_prefix.shared(&batch.input_ids, &self.features, config.image_token_id, config.image_seq_len());
        let shared = shared.min(batch.len.saturating_sub(1));
        let mut cache = cached_prefix.cache;
        cache.truncate(shared);
        cache.reserve(&config.text, capacity);
        self.cached_tokens = shared;
        let inputs = self.model.inputs_from(batch, joined(&self.features), shared);
        let logits = self.model.run_prompts(&inputs, &mut cache, chunk, &self.cancel);
        // After any other error the contents of the cache are undefined.
        if matches!(logits, Ok(_) | Err(Error::Cancelled)) {
            self.cache = Some(cache);
        }
        logits
    }

    /// Selects the next token of each active sequence, and removes finished sequences from the cache.
    fn select_tokens(&mut self) -> Result<Vec<Option<String>>, Error> {
        let mut deltas = vec![None; self.sequences.len()];
        match &mut self.next {
            Next::Logits(logits) => {
                let vocabulary = logits.len() / self.active.len().max(1);
                for (&index, logits) in self.active.iter().zip(logits.chunks_exact_mut(vocabulary.max(1))) {
                    deltas[index] = self.sequences[index].step(logits)?;
                }
            }
            Next::Argmax(tokens) => {
                for (&index, &(token, logit)) in self.active.iter().zip(tokens.iter()) {
                    if logit.is_nan() || logit == f32::NEG_INFINITY {
                        let vocabulary = self.model.loaded.config.text.vocab_size;
                        return Err(smolvlm_generate::Error::AllNan { vocabulary }.into());
                    }
                    deltas[index] = self.sequences[index].push(SampledToken { token, logprob: None })?;
                }
            }
        }
        let unfinished: Vec<usize> =
            (0..self.active.len()).filter(|&index| self.sequences[self.active[index]].finished.is_none()).collect();
        if !unfinished.is_empty() && unfinished.len() < self.active.len() {
            if let Some(cache) = &mut self.cache {
                select_rows(cache, unfinished.iter().copied())?;
            }
            self.active = unfinished.into_iter().map(|index| self.active[index]).collect();
        }
        Ok(deltas)
    }

    /// Finishes all sequences.
    fn end(&mut self, reason: FinishReason) -> Result<Vec<Option<String>>, Error> {
        self.sequences.iter_mut().map(|sequence| sequence.end(reason)).collect()
    }

    /// Takes the cache for the next turn, at any time in a run of one row.
    pub(crate) fn take_cached(&mut self) -> Option<CachedPrefix> {
        if let Some(unused) = self.cached_prefix.take() {
            return Some(unused);
        }
        let [sequence] = self.sequences.as_slice() else { return None };
        CachedPrefix::new(self.cache.take()?, sequence.ids(), &self.features)
    }

    /// The answers, in the order of the conversations, each with the requested number of texts.
    pub(crate) fn into_generations(self) -> Vec<Generation> {
        let (timings, cached_tokens) = (self.timings, self.cached_tokens);
        let generation = |sequence: Sequence| Generation {
            token_ids: sequence.tokens().to_vec(),
            text: sequence.text,
            prompt_tokens: sequence.prompt_len,
            cached_tokens,
            finish_reason: sequence.finished.unwrap_or(FinishReason::Length),
            logprobs: sequence.logprobs,
            score: None,
            notes: sequence.notes,
            timings,
        };
        self.sequences.into_iter().map(generation).collect()
    }
}

/// Reorders a cache to the given rows.
pub(crate) fn select_rows(cache: &mut KvCache, rows: impl IntoIterator<Item = usize>) -> Result<(), Error> {
    let rows: Vec<usize> = rows.into_iter().collect();
    Ok(cache.select_rows(&rows).map_err(smolvlm_model::Error::from)?)
}

fn joined_text(delta: Option<String>, rest: Option<String>) -> Option<String> {
    match (delta, rest) {
        (Some(delta), Some(rest)) => Some(delta + &rest),
        (delta, rest) => delta.or(rest),
    }
}

impl SmolVlm {
    /// Validates the parameters and fills in the checkpoint's end tokens if there are none.
    pub(crate) fn resolve_params(&self, params: &SamplingParams) -> Result<SamplingParams, Error> {
        let params = params.clone().or_eos_of(self.generation());
        params.validate()?;
        Ok(params)
    }

    /// The tokens of a row's prompt without padding; an error if there is no room for an answer.
    pub(crate) fn prompt_ids(&self, batch: &Batch, row: usize) -> Result<Vec<u32>, Error> {
        let (prompt, context) = (batch.prompt_len(row), self.loaded.config.text.max_position_embeddings);
        if prompt >= context {
            return Err(Error::PromptTooLong { row, prompt, context });
        }
        Ok(batch.input_ids[(row + 1) * batch.len - prompt..(row + 1) * batch.len].to_vec())
    }

    /// The inputs of a one-row batch from token `start`, with their features.
    fn inputs_from(&self, batch: &Batch, features: Option<Tensor<2>>, start: usize) -> ModelInputs {
        let (before, after) = batch.input_ids.split_at(start);
        let image = self.loaded.config.image_token_id;
        let seen = before.iter().filter(|&&id| id == image).count();
        let features = features.and_then(|features| {
            let rest = features.dims()[0].saturating_sub(seen);
            (rest > 0).then(|| features.narrow(0, seen, rest))
        });
        ModelInputs { input_ids: after.to_vec(), padding: vec![0], features }
    }
}
