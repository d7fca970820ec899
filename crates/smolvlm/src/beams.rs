//! Beam search over a batch.

use crate::run::select_rows;
use crate::sequence::StopText;
use crate::{Cancel, Error, Generation, SmolVlm, Timings};
use smolvlm_generate::{BeamSearch, BeamStep, FinishReason, SamplingParams};
use smolvlm_processor::Conversation;
use std::time::Instant;

/// The beam search of one prompt.
struct Search {
    state: BeamSearch,
    prompt_len: usize,
    /// Whether the model's context ends before the requested length.
    fills_context: bool,
    stop: Option<StopText>,
    /// The next input token of each beam; none when the search is done.
    tokens: Option<Vec<u32>>,
}

/// Answers conversations by beam search: `num_return_sequences` texts per conversation, the best first.
pub(crate) fn run(
    model: &SmolVlm,
    conversations: &[Conversation],
    params: &SamplingParams,
) -> Result<Vec<Generation>, Error> {
    let params = model.resolve_params(params)?;
    // Never cancelled: a beam search has no result before its end.
    let cancel = Cancel::new();
    let mut timings = Timings::default();
    let clock = Instant::now();
    let deadline = params.max_time.and_then(|time| clock.checked_add(time));
    let batch = model.process(conversations, &params)?;
    timings.process = clock.elapsed();

    let clock = Instant::now();
    let features = model.on_threads(|| model.media_features(&batch, &[], &cancel))?;
    timings.vision = clock.elapsed();

    let clock = Instant::now();
    let context = model.loaded.config.text.max_position_embeddings;
    let mut searches = Vec::with_capacity(batch.rows);
    let mut longest = 1;
    for row in 0..batch.rows {
        let prompt = model.prompt_ids(&batch, row)?;
        let (limit, room) = (params.limit(prompt.len())?, context - prompt.len());
        longest = longest.max(limit.min(room));
        let within = params.clone().max_new_tokens(limit.min(room));
        let stop = !params.stop_strings.is_empty();
        searches.push(Search {
            state: BeamSearch::new(&within, &prompt, model.loaded.config.text.vocab_size)?.stream(row as u64),
            prompt_len: prompt.len(),
            fills_context: room < limit,
            stop: stop.then(|| StopText::new(model, &params.stop_strings, &batch.prompts[row])),
            tokens: Some(Vec::new()),
        });
    }
    let chunk = params.prefill_chunk.unwrap_or(usize::MAX);
    let capacity = batch.len + longest - 1;
    let beams = params.num_beams;
    let (mut cache, logits) = model.on_threads(|| {
        let (mut cache, logits) = model.prefill(&batch, &features, capacity, chunk, &cancel)?;
        select_rows(&mut cache, (0..batch.rows).flat_map(|row| std::iter::repeat_n(row, beams)))?;
        Ok::<_, Error>((cache, logits))
    })?;
    let vocabulary = model.loaded.config.text.vocab_size;
    let mut logits: Vec<f32> = logits.chunks_exact(vocabulary).flat_map(|row| row.repeat(beams)).collect();
    timings.prefill = clock.elapsed();

    let clock = Instant::now();
    loop {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            searches.iter_mut().for_each(|search| search.state.interrupt(FinishReason::Time));
        }
        // The rows of the cache are grouped by search; those of finished searches have been removed.
        let mut rows = Vec::new();
        let mut first = 0;
        let unfinished = searches.iter_mut().filter(|search| search.tokens.is_some());
        for (search, logits) in unfinished.zip(logits.chunks_exact(beams * vocabulary)) {
            search.advance(logits, &mut |beam| rows.push(first + beam))?;
            first += beams;
        }
        let tokens: Vec<u32> = searches.iter().flat_map(|search| search.tokens.iter().flatten().copied()).collect();
        if tokens.is_empty() {
            break;
        }
        logits = model.on_threads(|| {
            select_rows(&mut cache, rows)?;
            Ok::<_, Error>(model.loaded.network.decode(&tokens, &mut cache)?)
        })?;
        timings.decode_steps += 1;
    }
    timings.decode = clock.elapsed();

    let mut generations = Vec::new();
    for (row, search) in searches.into_iter().enumerate() {
        for text in search.state.finish() {
            let finish_reason = match text.finish_reason {
                FinishReason::Length if search.fills_context => FinishReason::Context,
                reason => reason,
            };
            generations.push(Generation {
                text: model.loaded.processor.decode(&text.tokens, params.skip_special_tokens)?,
                token_ids: text.tokens,
                prompt_tokens: search.prompt_len,
                cached_tokens: 0,
                finish_reason,
                logprobs: Vec::new(),
                score: Some(text.score),
                notes: batch.notes(row),
                timings,
            });
        }
    }
    Ok(generations)
}

impl Search {
    /// Advances the search by one token; calls `keep` with the parent of each new beam.
    fn advance(&mut self, logits: &[f32], keep: &mut dyn FnMut(usize)) -> Result<(), Error> {
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
        let step = self.state.advance(logits, &mut stopped)?;
        self.tokens = match step {
            BeamStep::Continue { parents, tokens } => {
                parents.into_iter().for_each(keep);
                Some(tokens)
            }
            BeamStep::Done => None,
        };
        Ok(())
    }
}
