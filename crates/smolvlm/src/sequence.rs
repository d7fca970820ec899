//! One text that is being generated.

use crate::constrain::ConstraintState;
use crate::{Error, Generation, SmolVlm, Timings};
use smolvlm_generate::{
    FinishReason, PromptLookup, SampledToken, Sampler, SamplingParams, StopRule, StopStrings, TokenLogprobs,
};
use smolvlm_model::{KeepLogits, SequenceId, StepInput};
use smolvlm_processor::{TextDeltas, TokenBytes, VideoNote};

/// Maximum number of tokens that a constraint forces per step, so that other requests do not wait long.
const MAX_FORCED: usize = 64;

/// The addition of new tokens to a text.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    /// The token, if log-probabilities are requested.
    pub(crate) token: Option<(u32, TokenLogprobs)>,
    /// New text, which may be empty.
    pub(crate) text: String,
}

impl Delta {
    /// Itself if its text is the only one of a request, otherwise nothing.
    pub(crate) fn if_only(self, only: bool) -> Self {
        if only { self } else { Self::default() }
    }
}

/// One text that is being generated.
pub(crate) struct Sequence {
    /// Prompt and generated tokens, without padding.
    ids: Vec<u32>,
    /// Number of them that have run through the network.
    done: usize,
    /// Tokens of the next step: those that have not run through the network, then drafted ones.
    next: Vec<u32>,
    /// Number of drafted tokens among them.
    drafted: usize,
    lookup: PromptLookup,
    prompt_len: usize,
    image_tokens: usize,
    text: String,
    logprobs: Vec<TokenLogprobs>,
    pub(crate) finished: Option<FinishReason>,
    /// Warnings about the images and videos of its prompt.
    notes: Vec<VideoNote>,
    deltas: TextDeltas,
    stop: StopRule,
    stop_strings: Option<StopText>,
    sampler: Sampler,
    constraint: Option<ConstraintState>,
    /// Whether tokens that the constraint forces are appended without a step for each.
    appends_forced: bool,
}

impl Sequence {
    /// A sequence with the prompt `ids`, whose text is `prompt`. `stream` is the sampler's random stream, distinct per
    /// sequence of a batch.
    pub(crate) fn new(
        model: &SmolVlm,
        params: &SamplingParams,
        ids: Vec<u32>,
        prompt: &str,
        stream: usize,
        notes: Vec<VideoNote>,
    ) -> Result<Self, Error> {
        let prompt_len = ids.len();
        params.limit(prompt_len)?;
        let room = model.loaded.config.text.max_position_embeddings.saturating_sub(prompt_len);
        Ok(Self {
            done: prompt_len,
            next: Vec::new(),
            drafted: 0,
            lookup: PromptLookup::new(if params.logprobs.is_none() { params.prompt_lookup_num_tokens } else { 0 }),
            prompt_len,
            image_tokens: model.loaded.image_tokens(&ids),
            text: String::new(),
            logprobs: Vec::new(),
            finished: None,
            notes,
            deltas: model.loaded.processor.text_deltas(params.skip_special_tokens),
            stop: StopRule::new(params, prompt_len, room),
            stop_strings: (!params.stop_strings.is_empty()).then(|| StopText::new(model, &params.stop_strings, prompt)),
            sampler: Sampler::new(params, stream as u64),
            constraint: None,
            appends_forced: params.allows_forced_tokens(),
            ids,
        })
    }

    /// Sets what the text must match.
    pub(crate) fn constrained(self, constraint: Option<ConstraintState>) -> Self {
        Self { constraint, ..self }
    }

    /// Number of most likely tokens that suffice to select the next one; none if all logits are needed.
    pub(crate) fn needs_top(&self) -> Option<usize> {
        self.sampler.needs_top().filter(|_| self.constraint.is_none())
    }

    /// Samples the next token from the most likely ones and appends it; none if they are not enough.
    pub(crate) fn step_top(&mut self, tokens: &[(u32, f32)]) -> Result<Option<Delta>, Error> {
        let choice = self.sampler.sample_top(tokens)?;
        choice.map(|choice| self.push(choice)).transpose()
    }

    /// Selects the tokens of the next step, at most `drafts` of them drafted.
    pub(crate) fn schedule(&mut self, drafts: usize) {
        self.next.clear();
        self.next.extend_from_slice(self.ids.get(self.done..).unwrap_or_default());
        let draft = self.lookup.draft(&self.ids, drafts.min(self.stop.left().saturating_sub(1)));
        self.drafted = draft.len();
        self.next.extend(draft);
    }

    /// The input of the next step.
    pub(crate) fn next_input(&self, sequence: SequenceId) -> StepInput<'_> {
        StepInput { logits: KeepLogits::Tail(self.logit_rows()), ..StepInput::generated(sequence, &self.next) }
    }

    /// Number of rows of logits that the next step computes.
    pub(crate) fn logit_rows(&self) -> usize {
        1 + self.drafted
    }

    /// Number of drafted tokens of the next step.
    pub(crate) fn drafted(&self) -> usize {
        self.drafted
    }

    /// Samples tokens from the logits of a step: one, and one more where this one and those that the constraint forces
    /// after it are the drafted tokens. Returns what is new, and the number of drafted tokens that are part of the
    /// text.
    pub(crate) fn advance(&mut self, logits: &mut [f32]) -> Result<(Delta, usize), Error> {
        let vocabulary = (logits.len() / self.logit_rows()).max(1);
        let draft = self.next.split_off(self.next.len().saturating_sub(self.drafted));
        let (mut delta, mut accepted) = (Delta::default(), 0);
        // The logits after the accepted tokens.
        while let Some(logits) = logits.chunks_exact_mut(vocabulary).nth(accepted) {
            let first = self.ids.len();
            let new = self.step(logits)?;
            delta = Delta { token: new.token, text: delta.text + &new.text };
            if self.finished.is_some() {
                break;
            }
            let (new, drafted) = (self.ids.iter().skip(first), draft.iter().skip(accepted));
            let confirmed = new.zip(drafted).take_while(|(new, drafted)| new == drafted).count();
            accepted += confirmed;
            // The drafted tokens have run through the network.
            self.done = first + confirmed;
            if self.done < self.ids.len() {
                break;
            }
        }
        Ok((delta, accepted))
    }

    /// Samples the next token from the logits of the vocabulary, and appends it and those that must follow it.
    pub(crate) fn step(&mut self, logits: &mut [f32]) -> Result<Delta, Error> {
        let choice = match &mut self.constraint {
            // Computed here and not in parallel to the network: it usually takes less than a millisecond.
            Some(constraint) => self.sampler.sample_masked(&self.ids, self.prompt_len, logits, &constraint.mask()?)?,
            None => self.sampler.sample(&self.ids, self.prompt_len, logits)?,
        };
        let mut delta = self.push(choice)?;
        for token in self.forced() {
            if self.finished.is_some() {
                break;
            }
            delta.text.push_str(&self.append(SampledToken { token, logprob: None })?.text);
        }
        Ok(delta)
    }

    /// The next tokens that the constraint forces.
    fn forced(&mut self) -> Vec<u32> {
        let is_running = self.finished.is_none() && self.appends_forced;
        let constraint = self.constraint.as_mut().filter(|_| is_running);
        let mut tokens = constraint.map(ConstraintState::forced).unwrap_or_default();
        tokens.truncate(MAX_FORCED);
        tokens
    }

    /// Appends the token that follows those that have run through the network.
    pub(crate) fn push(&mut self, choice: SampledToken) -> Result<Delta, Error> {
        self.done = self.ids.len();
        self.append(choice)
    }

    fn append(&mut self, choice: SampledToken) -> Result<Delta, Error> {
        self.ids.push(choice.token);
        self.logprobs.extend(choice.logprob.clone());
        self.finished = self.stop.observe(choice.token);
        if let Some(stop) = &mut self.stop_strings
            && stop.push(choice.token)
        {
            // An end token takes precedence: the text would have ended anyway.
            self.finished =
                self.finished.filter(|&reason| reason == FinishReason::Eos).or(Some(FinishReason::StopString));
        }
        if let Some(constraint) = &mut self.constraint {
            constraint.accept(choice.token)?;
            if constraint.is_complete() && self.finished != Some(FinishReason::Eos) {
                self.finished = Some(FinishReason::Complete);
            }
        }
        let mut delta = self.deltas.push(choice.token)?.unwrap_or_default();
        if self.finished.is_some() {
            delta.push_str(&self.deltas.finish()?.unwrap_or_default());
        }
        self.text.push_str(&delta);
        Ok(Delta { token: choice.logprob.map(|logprobs| (choice.token, logprobs)), text: delta })
    }

    /// Finishes the sequence; returns text that was held back.
    pub(crate) fn end(&mut self, reason: FinishReason) -> Result<Delta, Error> {
        if self.finished.is_some() {
            return Ok(Delta::default());
        }
        self.finished = Some(reason);
        let text = self.deltas.finish()?.unwrap_or_default();
        self.text.push_str(&text);
        Ok(Delta { token: None, text })
    }

    /// The finished text with its metadata.
    pub(crate) fn into_generation(self, cached_tokens: usize, timings: Timings) -> Generation {
        Generation {
            token_ids: self.ids.get(self.prompt_len..).unwrap_or_default().to_vec(),
            text: self.text,
            prompt_tokens: self.prompt_len,
            image_tokens: self.image_tokens,
            cached_tokens,
            finish_reason: self.finished.unwrap_or(FinishReason::Length),
            logprobs: self.logprobs,
            score: None,
            notes: self.notes,
            timings,
        }
    }

    /// Prompt and generated tokens.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Number of tokens that have run through the network and are part of the text.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Number of generated tokens.
    pub(crate) fn generated(&self) -> usize {
        self.ids.len() - self.prompt_len
    }
}

/// Detects stop strings in the generated tokens, including special tokens, which may be part of a stop string.
#[derive(Clone)]
pub(crate) struct StopText {
    stops: StopStrings,
    bytes: TokenBytes,
}

impl StopText {
    pub(crate) fn new(model: &SmolVlm, stops: &[String], prompt: &str) -> Self {
        // A stop string may start in the last bytes of the prompt.
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let tail = prompt.as_bytes().get(prompt.len().saturating_sub(longest)..).unwrap_or_default();
        Self { stops: StopStrings::new(stops, tail), bytes: model.loaded.processor.token_bytes() }
    }

    /// Appends a token; whether a stop string ends in it.
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
