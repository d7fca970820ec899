//! One text on its way through the generation loop.

use crate::{Error, SmolVlm};
use smolvlm_generate::{FinishReason, SampledToken, Sampler, SamplingParams, StopRule, StopStrings, TokenLogprobs};
use smolvlm_processor::{TextDeltas, TokenBytes, VideoNote};

/// One text on its way through the generation loop.
pub(crate) struct Row<'m> {
    /// Prompt and generated tokens, without padding.
    ids: Vec<u32>,
    pub(crate) prompt_len: usize,
    pub(crate) text: String,
    pub(crate) logprobs: Vec<TokenLogprobs>,
    pub(crate) finished: Option<FinishReason>,
    /// Notes on the media of its prompt.
    pub(crate) notes: Vec<VideoNote>,
    deltas: TextDeltas<'m>,
    stop: StopRule,
    stop_strings: Option<StopText<'m>>,
    sampler: Sampler,
}

impl<'m> Row<'m> {
    /// A row behind the prompt `ids`, whose text is `prompt`. `stream` tells rows of one batch apart for the sampler.
    pub(crate) fn new(
        owner: &'m SmolVlm,
        params: &SamplingParams,
        ids: Vec<u32>,
        prompt: &str,
        stream: usize,
    ) -> Result<Self, Error> {
        let prompt_len = ids.len();
        params.limit(prompt_len)?;
        let room = owner.config.text.max_position_embeddings.saturating_sub(prompt_len);
        Ok(Self {
            prompt_len,
            text: String::new(),
            logprobs: Vec::new(),
            finished: None,
            notes: Vec::new(),
            deltas: owner.processor.text_deltas(params.skip_special_tokens),
            stop: StopRule::new(params, prompt_len, room),
            stop_strings: (!params.stop_strings.is_empty()).then(|| StopText::new(owner, &params.stop_strings, prompt)),
            sampler: Sampler::new(params, stream as u64),
            ids,
        })
    }

    /// Whether it goes on with the likeliest token, whatever the other logits are.
    pub(crate) fn is_greedy(&self) -> bool {
        self.sampler.is_greedy()
    }

    /// Chooses the next token from the logits of all; gives the text that it completes.
    pub(crate) fn step(&mut self, logits: &mut [f32]) -> Result<Option<String>, Error> {
        let choice = self.sampler.sample(&self.ids, self.prompt_len, logits)?;
        self.push(choice)
    }

    /// Goes on with a chosen token; gives the text that it completes.
    pub(crate) fn push(&mut self, choice: SampledToken) -> Result<Option<String>, Error> {
        self.ids.push(choice.token);
        self.logprobs.extend(choice.logprob);
        self.finished = self.stop.observe(choice.token);
        if let Some(stop) = &mut self.stop_strings
            && stop.push(choice.token)
        {
            // An end token has the last word: the text would have ended anyway.
            self.finished =
                self.finished.filter(|&reason| reason == FinishReason::Eos).or(Some(FinishReason::StopString));
        }
        let mut delta = self.deltas.push(choice.token)?.unwrap_or_default();
        if self.finished.is_some() {
            delta.push_str(&self.deltas.finish()?.unwrap_or_default());
        }
        self.text.push_str(&delta);
        Ok((!delta.is_empty()).then_some(delta))
    }

    /// Ends the text with what it has; gives text that was held back.
    pub(crate) fn end(&mut self, reason: FinishReason) -> Result<Option<String>, Error> {
        if self.finished.is_some() {
            return Ok(None);
        }
        self.finished = Some(reason);
        let rest = self.deltas.finish()?;
        self.text.push_str(rest.as_deref().unwrap_or_default());
        Ok(rest)
    }

    /// The generated tokens.
    pub(crate) fn tokens(&self) -> &[u32] {
        self.ids.get(self.prompt_len..).unwrap_or_default()
    }

    /// Prompt and generated tokens.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }
}

/// Watches the tokens for stop strings, special tokens included: they may be what a stop string ends with.
#[derive(Clone)]
pub(crate) struct StopText<'m> {
    stops: StopStrings,
    bytes: TokenBytes<'m>,
}

impl<'m> StopText<'m> {
    pub(crate) fn new(owner: &'m SmolVlm, stops: &[String], prompt: &str) -> Self {
        // Cut to where a stop string may still begin.
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let tail = prompt.as_bytes().get(prompt.len().saturating_sub(longest)..).unwrap_or_default();
        Self { stops: StopStrings::new(stops, tail), bytes: owner.processor.token_bytes() }
    }

    /// Whether a stop string ends inside this token.
    pub(crate) fn push(&mut self, token: u32) -> bool {
        match self.bytes.get(token) {
            Some(bytes) => self.stops.push(&bytes),
            None => {
                self.stops.interrupt();
                false
            }
        }
    }
}
