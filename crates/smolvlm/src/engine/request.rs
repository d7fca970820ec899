//! A request to the engine.

use super::Texts;
use super::prompt::EncodedPrompt;
use super::ticket::Ticket;
use super::updates::{UpdateSender, updates};
use crate::{Cancel, Error, FinishReason, SmolVlm};
use smolvlm_model::Sequences;
use std::time::{Duration, Instant};

/// A prompt with the state and the limits of its answer.
pub(crate) struct Request {
    pub(super) prompt: EncodedPrompt,
    pub(super) texts: Texts,
    /// Maximum number of new tokens of each text.
    pub(super) new_tokens: usize,
    /// Maximum number of tokens per chunk of the prompt.
    pub(super) max_chunk: usize,
    pub(super) deadline: Option<Instant>,
    /// Whether keys and values of earlier prompts may be used, and those of this one kept.
    pub(super) reuses_cache: bool,
    /// Time of the preparation.
    pub(super) prepare_time: Duration,
    pub(super) cancel: Cancel,
    /// Set when the client no longer waits.
    pub(super) dropped: Cancel,
    pub(super) updates: UpdateSender,
}

impl Request {
    /// Why the request ends now, before its texts are finished: it was cancelled, or its time is over.
    pub(super) fn interruption(&self) -> Option<FinishReason> {
        if self.cancel.is_cancelled() || self.dropped.is_cancelled() {
            return Some(FinishReason::Cancelled);
        }
        let is_over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        is_over.then_some(FinishReason::Time)
    }

    /// Tokens that its sequences can hold at most, in whole pages. Texts share the full pages of the prompt.
    pub(super) fn tokens(&self) -> usize {
        let (page, prompt, texts) = (Sequences::PAGE_TOKENS, self.prompt.ids.len(), self.texts.sequences());
        let shared = if texts == 1 { 0 } else { prompt / page * page };
        let own = (prompt - shared).saturating_add(self.new_tokens).div_ceil(page).saturating_mul(page);
        let bound = own.saturating_mul(texts).saturating_add(shared);
        // Answers that are scored share more: the question, and the start of other answers.
        let scored = self.texts.scored_tokens(page);
        scored.map_or(bound, |tokens| bound.min(tokens.saturating_add(prompt.next_multiple_of(page))))
    }
}

/// Limits and cancellation of a request.
pub(crate) struct RequestOptions {
    /// Maximum number of new tokens of each text.
    pub(crate) new_tokens: usize,
    /// Maximum number of tokens per chunk of the prompt.
    pub(crate) max_chunk: Option<usize>,
    pub(crate) max_time: Option<Duration>,
    /// Whether keys and values of earlier prompts may be used, and those of this one kept.
    pub(crate) reuses_cache: bool,
    /// Time of the preparation.
    pub(crate) prepare_time: Duration,
    pub(crate) cancel: Cancel,
}

impl SmolVlm {
    /// Hands a request to the engine.
    pub(crate) fn submit(&self, prompt: EncodedPrompt, texts: Texts, options: RequestOptions) -> Result<Ticket, Error> {
        if self.loaded.threads.is_inside() {
            return Err(Error::InsideThreads);
        }
        let (updates, receiver) = updates();
        let dropped = Cancel::new();
        let ticket = Ticket::new(receiver, dropped.clone(), self.clone());
        let request = Request {
            prompt,
            texts,
            new_tokens: options.new_tokens,
            max_chunk: options.max_chunk.unwrap_or(usize::MAX).max(1),
            // No deadline if it is too far in the future to be represented.
            deadline: options.max_time.and_then(|time| Instant::now().checked_add(time)),
            reuses_cache: options.reuses_cache,
            prepare_time: options.prepare_time,
            cancel: options.cancel,
            dropped,
            updates,
        };
        self.engine.submit(request)?;
        Ok(ticket)
    }
}
