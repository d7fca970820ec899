//! A request that the worker has admitted.

use super::request::Request;
use super::stats::EngineStats;
use super::ticket::Update;
use super::{Answer, Texts};
use crate::features::Key;
use crate::sequence::Delta;
use crate::smolvlm::Loaded;
use crate::{Error, Timings};
use burn::tensor::Tensor;
use smolvlm_generate::FinishReason;
use smolvlm_model::{KeepLogits, SequenceId, Sequences, StepInput, TokenKey};
use std::time::Instant;

/// An admitted request: its prompt is encoded and prefilled, then its texts are decoded.
pub(super) struct ActiveRequest {
    request: Request,
    pub(super) phase: Phase,
    /// The prompt's sequence, until the texts take it over.
    sequence: Option<SequenceId>,
    /// The identity of each input of the prompt.
    keys: Vec<TokenKey>,
    image_token: u32,
    /// Prompt tokens in the KV cache.
    prefilled: usize,
    cached_tokens: usize,
    /// Number of tiles whose tokens are all in the cache from the start.
    cached_tiles: usize,
    /// Features of the other tiles, once all are encoded.
    features: Option<Tensor<2>>,
    tile_len: usize,
    /// Tokens for which memory is reserved.
    pub(super) reserved: usize,
    timings: Timings,
    /// The start of the current phase.
    clock: Instant,
}

/// The phase of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Tiles are encoded.
    Encode,
    /// The prompt runs through the text model.
    Prefill,
    /// Texts are decoded.
    Decode,
}

impl ActiveRequest {
    pub(super) fn new(
        request: Request,
        reserved: usize,
        loaded: &Loaded,
        sequences: &mut Sequences,
        stats: &mut EngineStats,
    ) -> Self {
        let (image_token, tile_len) = (loaded.config.image_token_id, loaded.config.image_seq_len().max(1));
        let keys = request.prompt.token_keys(image_token, tile_len);
        let (sequence, prefilled) = if request.reuses_cache { sequences.resume(&keys) } else { (sequences.add(), 0) };
        let seen = request.prompt.ids[..prefilled].iter().filter(|&&id| id == image_token).count();
        stats.prefix_pages_hit += (prefilled / Sequences::PAGE_TOKENS) as u64;
        stats.tiles_reused += (seen / tile_len + request.prompt.known_tiles(seen / tile_len)) as u64;
        stats.tiles_read += request.prompt.tiles_read;
        let timings = Timings { process: request.prepare_time, ..Timings::default() };
        let mut active = Self {
            request,
            phase: Phase::Encode,
            sequence: Some(sequence),
            keys,
            image_token,
            prefilled,
            cached_tokens: prefilled,
            cached_tiles: seen / tile_len,
            features: None,
            tile_len,
            reserved,
            timings,
            clock: Instant::now(),
        };
        active.begin_prefill_if_encoded();
        active
    }

    /// Why the request ends now, before its texts are finished. As in the reference, time is up after the first token
    /// at the earliest, unless the request waited for memory until then.
    pub(super) fn interruption(&self) -> Option<FinishReason> {
        let is_early = self.phase != Phase::Decode && self.reserved > 0;
        self.request.interruption().filter(|&reason| !(is_early && reason == FinishReason::Time))
    }

    /// The tiles whose features are needed and missing: their hashes and pixels.
    pub(super) fn missing_tiles(&self) -> impl Iterator<Item = (Key, &[f32])> {
        let tiles = self.request.prompt.missing_tiles(self.cached_tiles);
        tiles.filter(|_| self.phase == Phase::Encode)
    }

    /// The first of the [`missing_tiles`](Self::missing_tiles).
    pub(super) fn missing_tile(&self) -> Option<(Key, &[f32])> {
        self.missing_tiles().next()
    }

    /// Whether the features of a tile are needed and missing.
    #[cfg(feature = "flex")]
    pub(super) fn misses(&self, key: &Key) -> bool {
        self.missing_tiles().any(|(other, _)| other == *key)
    }

    /// Edge of its tiles in pixels.
    pub(super) fn edge(&self) -> usize {
        self.request.prompt.edge
    }

    /// Stores the features of a tile; returns how many tiles needed them.
    pub(super) fn provide(&mut self, key: &Key, features: &Tensor<2>) -> u64 {
        if self.phase != Phase::Encode {
            return 0;
        }
        let provided = self.request.prompt.provide(key, features);
        self.begin_prefill_if_encoded();
        provided
    }

    fn begin_prefill_if_encoded(&mut self) {
        if self.request.prompt.missing_tiles(self.cached_tiles).next().is_none() {
            self.features = self.request.prompt.features(self.cached_tiles);
            self.request.prompt.drop_pixels();
            self.timings.vision = self.clock.elapsed();
            self.clock = Instant::now();
            self.phase = Phase::Prefill;
        }
    }

    /// The next chunk of the prompt, at most `budget` tokens; none in other phases. The logits of the last chunk are
    /// requested.
    pub(super) fn chunk(&self, budget: usize) -> Option<StepInput<'_>> {
        let sequence = self.sequence.filter(|_| self.phase == Phase::Prefill)?;
        let ids = &self.request.prompt.ids;
        let end = ids.len().min(self.prefilled + budget.min(self.request.max_chunk));
        let images = |ids: &[u32]| ids.iter().filter(|&&id| id == self.image_token).count();
        let before = images(&ids[..self.prefilled]);
        let tokens = &ids[self.prefilled..end];
        let count = images(tokens);
        let features = self.features.as_ref().filter(|_| count > 0);
        Some(StepInput {
            sequence,
            tokens,
            features: features
                .map(|features| features.clone().narrow(0, before - self.cached_tiles * self.tile_len, count)),
            logits: if end == ids.len() { KeepLogits::Last } else { KeepLogits::None },
            generated: false,
        })
    }

    /// Counts a chunk that ran. `logits` are those of the last token of the prompt, after the last chunk.
    pub(super) fn prefilled(
        &mut self,
        tokens: usize,
        logits: Option<&[f32]>,
        sequences: &mut Sequences,
    ) -> Result<(), Error> {
        self.prefilled += tokens;
        let (Some(logits), Some(sequence)) = (logits, self.sequence) else { return Ok(()) };
        self.sequence = None;
        let delta = self.request.texts.begin(sequence, logits, sequences)?;
        self.timings.prefill = self.clock.elapsed();
        self.clock = Instant::now();
        self.phase = Phase::Decode;
        self.send(delta);
        Ok(())
    }

    /// Selects what runs in the next step; see [`Texts::schedule`].
    pub(super) fn schedule(&mut self, budget: usize, drafts: usize, sequences: &mut Sequences) {
        if self.phase == Phase::Decode {
            self.request.texts.schedule(budget, drafts, sequences);
        }
    }

    /// Number of sequences that are decoded.
    pub(super) fn decoding(&self) -> usize {
        if self.phase == Phase::Decode { self.request.texts.sequences() } else { 0 }
    }

    /// Number of drafted tokens in the next step.
    pub(super) fn drafted(&self) -> usize {
        if self.phase == Phase::Decode { self.request.texts.drafted() } else { 0 }
    }

    /// The inputs of each unfinished sequence in the next step.
    pub(super) fn next_inputs(&self) -> Vec<StepInput<'_>> {
        if self.phase == Phase::Decode { self.request.texts.next_inputs() } else { Vec::new() }
    }

    /// Whether given answers are scored.
    pub(super) fn is_scored(&self) -> bool {
        self.request.texts.is_scored()
    }

    /// Number of most likely tokens that suffice to select the next one of each text; none if all logits are needed.
    pub(super) fn needs_top(&self) -> Option<usize> {
        self.request.texts.needs_top()
    }

    /// Selects the next tokens after a decode step with a function that also gives the number of drafted tokens among
    /// them; returns that number.
    pub(super) fn decoded(
        &mut self,
        select: impl FnOnce(&mut Texts) -> Result<(Delta, usize), Error>,
    ) -> Result<usize, Error> {
        let (delta, accepted) = select(&mut self.request.texts)?;
        self.timings.decode_steps += 1;
        self.timings.accepted_drafts += accepted;
        let steps = self.timings.decode_steps;
        self.timings.decode_tokens = self.request.texts.longest().map_or(steps, |tokens| tokens.saturating_sub(1));
        self.timings.decode = self.clock.elapsed();
        self.send(delta);
        Ok(accepted)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.request.texts.is_finished()
    }

    fn send(&self, Delta { token, text }: Delta) {
        let token = token.map(|(id, logprobs)| Update::Token(id, logprobs));
        let text = (!text.is_empty()).then_some(Update::Text(text));
        for update in token.into_iter().chain(text) {
            if self.request.updates.send(update).is_err() {
                self.request.dropped.cancel();
            }
        }
    }

    /// Ends the request: the texts so far are its answer.
    pub(super) fn finish(mut self, reason: FinishReason, loaded: &Loaded, sequences: &mut Sequences) {
        match self.request.texts.end(reason) {
            Ok(rest) => self.send(rest),
            Err(error) => return self.fail(error, sequences),
        }
        self.release(sequences, true);
        let Request { prompt, texts, updates, .. } = self.request;
        let (cached_tokens, timings) = (self.cached_tokens, self.timings);
        let answer = texts.scores().and_then(|scores| {
            let generations = texts.into_generations(loaded, cached_tokens, timings)?;
            Ok(Answer { generations, scores, cached_tokens, timings, features: prompt.into_features() })
        });
        let update = match answer {
            Ok(answer) => Update::Finished(Box::new(answer)),
            Err(error) => Update::Failed(error),
        };
        // A client that is gone needs no answer.
        drop(updates.send(update));
    }

    /// Ends the request with an error.
    pub(super) fn fail(mut self, error: Error, sequences: &mut Sequences) {
        self.release(sequences, false);
        drop(self.request.updates.send(Update::Failed(error)));
    }

    /// Removes the sequences; with `keep`, tokens of a prompt or a single text are kept for later prompts.
    fn release(&mut self, sequences: &mut Sequences, keep: bool) {
        let keep = keep && self.request.reuses_cache;
        let generated = self.request.texts.kept_tokens(self.keys.len()).map(<[u32]>::to_vec);
        for id in self.request.texts.take_sequences().into_iter().chain(self.sequence.take()) {
            match &generated {
                Some(generated) if keep => {
                    self.keys.extend(generated.iter().map(|&id| TokenKey::text(id)));
                    let len = sequences.len(id).min(self.keys.len());
                    sequences.keep(id, &self.keys[..len]);
                }
                _ => sequences.remove(id),
            }
        }
    }
}
