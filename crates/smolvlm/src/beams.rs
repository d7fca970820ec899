//! Beam search for the answer to one prompt.

use crate::sequence::StopText;
use crate::smolvlm::Loaded;
use crate::{Error, Generation, SmolVlm, Timings};
use smolvlm_generate::{BeamSearch, BeamStep, FinishReason, SamplingParams};
use smolvlm_processor::VideoNote;

/// The beam search of one prompt.
pub(crate) struct Search {
    state: BeamSearch,
    prompt_len: usize,
    image_tokens: usize,
    skip_special_tokens: bool,
    /// Whether the model's context ends before the requested length.
    fills_context: bool,
    stop: Option<StopText>,
    /// The next input token of each beam; none when the search is done.
    tokens: Option<Vec<u32>>,
    notes: Vec<VideoNote>,
}

impl Search {
    /// A search for `params.num_return_sequences` continuations of the prompt `ids`, whose text is `prompt`. `stream`
    /// is the random stream, distinct per prompt of a batch.
    pub(crate) fn new(
        model: &SmolVlm,
        params: &SamplingParams,
        ids: &[u32],
        prompt: &str,
        stream: usize,
        notes: Vec<VideoNote>,
    ) -> Result<Self, Error> {
        let text = &model.loaded.config.text;
        let (limit, room) = (params.limit(ids.len())?, text.max_position_embeddings.saturating_sub(ids.len()));
        let within = params.clone().max_new_tokens(limit.min(room));
        let stop = !params.stop_strings.is_empty();
        Ok(Self {
            state: BeamSearch::new(&within, ids, text.vocab_size)?.stream(stream as u64),
            prompt_len: ids.len(),
            image_tokens: model.loaded.image_tokens(ids),
            skip_special_tokens: params.skip_special_tokens,
            fills_context: room < limit,
            stop: stop.then(|| StopText::new(model, &params.stop_strings, prompt)),
            tokens: Some(Vec::new()),
            notes,
        })
    }

    /// Number of beams.
    pub(crate) fn beams(&self) -> usize {
        self.state.beams()
    }

    /// Whether the search is done.
    pub(crate) fn is_finished(&self) -> bool {
        self.tokens.is_none()
    }

    /// The next input token of each beam.
    pub(crate) fn tokens(&self) -> &[u32] {
        self.tokens.as_deref().unwrap_or_default()
    }

    /// Ends the search with the texts so far.
    pub(crate) fn end(&mut self, reason: FinishReason) {
        if self.tokens.take().is_some() {
            self.state.interrupt(reason);
        }
    }

    /// Advances the search by one token. Returns the parent of each new beam; none when the search is done.
    pub(crate) fn advance(&mut self, logits: &[f32]) -> Result<Vec<usize>, Error> {
        let stop = &self.stop;
        // Each candidate is scanned from its start: beams share no incremental state.
        let mut stopped = |tokens: &[u32]| {
            let Some(mut stop) = stop.clone() else { return Ok(false) };
            let mut found = false;
            for &token in tokens {
                found = stop.push(token);
            }
            Ok(found)
        };
        match self.state.advance(logits, &mut stopped)? {
            BeamStep::Continue { parents, tokens } => {
                self.tokens = Some(tokens);
                Ok(parents)
            }
            BeamStep::Done => {
                self.tokens = None;
                Ok(Vec::new())
            }
        }
    }

    /// The best texts, best first.
    pub(crate) fn into_generations(
        self,
        loaded: &Loaded,
        cached_tokens: usize,
        timings: Timings,
    ) -> Result<Vec<Generation>, Error> {
        let texts = self.state.finish().into_iter().map(|text| {
            let finish_reason = match text.finish_reason {
                FinishReason::Length if self.fills_context => FinishReason::Context,
                reason => reason,
            };
            Ok(Generation {
                text: loaded.processor.decode(&text.tokens, self.skip_special_tokens)?,
                token_ids: text.tokens,
                prompt_tokens: self.prompt_len,
                image_tokens: self.image_tokens,
                cached_tokens,
                finish_reason,
                logprobs: Vec::new(),
                score: Some(text.score),
                notes: self.notes.clone(),
                timings,
            })
        });
        texts.collect()
    }
}
