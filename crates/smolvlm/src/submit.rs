//! Generation: conversations become requests of the engine.

use crate::beams::Search;
use crate::engine::{EncodedPrompt, RequestOptions, Texts, Ticket};
use crate::features::{Key, MediaFeatures};
use crate::sequence::Sequence;
use crate::{Error, Generation, SmolVlm};
use smolvlm_generate::SamplingParams;
use smolvlm_processor::Batch;
use std::time::{Duration, Instant};

/// A batch of prompts, and what is known about their images and videos.
pub(crate) struct Prompts {
    pub(crate) batch: Batch,
    /// Features of its [`Media::Precomputed`](smolvlm_processor::Media::Precomputed), in order.
    pub(crate) known: Vec<MediaFeatures>,
    /// For each of its images and videos the hash of its file, if it is to be remembered; may be shorter.
    pub(crate) sources: Vec<Option<Key>>,
}

impl From<Batch> for Prompts {
    fn from(batch: Batch) -> Self {
        Self { batch, known: Vec::new(), sources: Vec::new() }
    }
}

/// Prompts that are ready for the engine.
pub(crate) struct Prepared {
    pub(crate) prompts: Prompts,
    /// Time of the preparation.
    pub(crate) prepare_time: Duration,
    pub(crate) reuses_cache: bool,
}

/// Answers the prompts of a batch together.
pub(crate) fn batch(
    model: &SmolVlm,
    params: &SamplingParams,
    process: impl FnOnce(&SamplingParams) -> Result<Prompts, Error>,
) -> Result<Vec<Generation>, Error> {
    let tickets = submit(model, params, process)?;
    let mut generations = Vec::new();
    for ticket in tickets {
        generations.extend(ticket.wait()?.generations);
    }
    Ok(generations)
}

/// Hands the prompts of a batch, which `process` prepares for the given parameters, to the engine.
pub(crate) fn submit(
    model: &SmolVlm,
    params: &SamplingParams,
    process: impl FnOnce(&SamplingParams) -> Result<Prompts, Error>,
) -> Result<Vec<Ticket>, Error> {
    let params = model.resolve_params(params)?;
    let clock = Instant::now();
    let prompts = process(&params)?;
    let prepared = Prepared { prompts, prepare_time: clock.elapsed(), reuses_cache: true };
    submit_prepared(model, prepared, &params)
}

/// Hands each row of a batch to the engine.
pub(crate) fn submit_prepared(
    model: &SmolVlm,
    prepared: Prepared,
    params: &SamplingParams,
) -> Result<Vec<Ticket>, Error> {
    let Prepared { prompts: Prompts { mut batch, known, sources }, prepare_time, reuses_cache } = prepared;
    let loaded = &*model.loaded;
    let context = loaded.config.text.max_position_embeddings;
    let (mut known, mut sources) = (known.into_iter(), sources.into_iter());
    // All rows are checked before the first one runs.
    let mut requests = Vec::with_capacity(batch.rows);
    for row in 0..batch.rows {
        let ids = model.prompt_ids(&batch, row)?;
        let new_tokens = params.limit(ids.len())?.min(context - ids.len());
        let (text, notes) = (&batch.prompts[row], batch.notes(row));
        let texts = if params.num_beams > 1 {
            Texts::Beams(Vec::new(), Box::new(Search::new(model, params, &ids, text, row, notes)?))
        } else {
            let count = params.num_return_sequences;
            let constraint = loaded.constraints.compile(loaded, params, text)?;
            let text = |index| {
                let (stream, constraint) = (row * count + index, constraint.clone());
                Ok((
                    None,
                    Sequence::new(model, params, ids.clone(), text, stream, notes.clone())?.constrained(constraint),
                ))
            };
            Texts::Sampled((0..count).map(text).collect::<Result<_, Error>>()?)
        };
        let media = std::mem::take(&mut batch.media[row]);
        let prompt = EncodedPrompt::new(loaded, ids, media, batch.edge, &mut known, &mut sources)?;
        let options = RequestOptions {
            new_tokens,
            max_chunk: params.prefill_chunk,
            max_time: params.max_time,
            reuses_cache,
            prepare_time,
            cancel: model.cancel.clone(),
        };
        requests.push((prompt, texts, options));
    }
    requests.into_iter().map(|(prompt, texts, options)| model.submit(prompt, texts, options)).collect()
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
}
