//! The texts that answer a request.

use super::scoring::Scoring;
use crate::beams::Search;
use crate::features::MediaFeatures;
use crate::sequence::{Delta, Sequence};
use crate::smolvlm::Loaded;
use crate::{Error, Generation, Timings};
use smolvlm_generate::{FinishReason, SampledToken};
use smolvlm_model::{SequenceId, Sequences, StepInput, TopTokens};

/// A finished request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The texts.
    pub(crate) generations: Vec<Generation>,
    /// The log-probabilities of given answers.
    pub(crate) scores: Vec<f64>,
    /// Number of prompt tokens whose keys and values were kept from an earlier request.
    pub(crate) cached_tokens: usize,
    pub(crate) timings: Timings,
    /// Features of each image and video of the prompt; none where some were not needed.
    pub(crate) features: Vec<Option<MediaFeatures>>,
}

/// The texts of a request.
pub(crate) enum Texts {
    /// Texts that are sampled independently, each with its sequence while it is decoded.
    Sampled(Vec<(Option<SequenceId>, Sequence)>),
    /// A beam search, with a sequence per beam.
    Beams(Vec<SequenceId>, Box<Search>),
    /// Given answers, whose log-probabilities are computed.
    Scored(Box<Scoring>),
}

impl Texts {
    /// Maximum number of sequences at once.
    pub(super) fn sequences(&self) -> usize {
        match self {
            Self::Sampled(texts) => texts.len(),
            Self::Beams(_, search) => search.beams(),
            Self::Scored(scoring) => scoring.sequences(),
        }
    }

    /// Whether given answers are scored.
    pub(super) fn is_scored(&self) -> bool {
        matches!(self, Self::Scored(_))
    }

    /// [`Scoring::tokens`], if given answers are scored.
    pub(super) fn scored_tokens(&self, page: usize) -> Option<usize> {
        if let Self::Scored(scoring) = self { Some(scoring.tokens(page)) } else { None }
    }

    /// Whether all texts are finished.
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Sampled(texts) => texts.iter().all(|(_, text)| text.finished.is_some()),
            Self::Beams(_, search) => search.is_finished(),
            Self::Scored(scoring) => scoring.is_finished(),
        }
    }

    /// Number of most likely tokens that suffice to select the next one of each text: 1 if it is the argmax; none if all logits are needed.
    pub(super) fn needs_top(&self) -> Option<usize> {
        let Self::Sampled(texts) = self else { return None };
        let unfinished = texts.iter().filter(|(_, text)| text.finished.is_none());
        unfinished.map(|(_, text)| text.needs_top()).try_fold(1, |most, needed| Some(most.max(needed?)))
    }

    /// Selects what runs in the next step: about `budget` tokens of given answers, or the next tokens of each text with
    /// at most `drafts` drafted ones.
    pub(super) fn schedule(&mut self, budget: usize, drafts: usize, sequences: &mut Sequences) {
        match self {
            Self::Sampled(texts) => {
                let unfinished = texts.iter_mut().filter(|(_, text)| text.finished.is_none());
                unfinished.for_each(|(_, text)| text.schedule(drafts));
            }
            Self::Beams(..) => {}
            Self::Scored(scoring) => scoring.schedule(budget, sequences),
        }
    }

    /// Number of drafted tokens in the next step.
    pub(super) fn drafted(&self) -> usize {
        let Self::Sampled(texts) = self else { return 0 };
        texts.iter().filter(|(_, text)| text.finished.is_none()).map(|(_, text)| text.drafted()).sum()
    }

    /// Number of tokens that the longest of the sampled texts has.
    pub(super) fn longest(&self) -> Option<usize> {
        let Self::Sampled(texts) = self else { return None };
        texts.iter().map(|(_, text)| text.generated()).max()
    }

    /// The inputs of each unfinished sequence in the next step.
    pub(super) fn next_inputs(&self) -> Vec<StepInput<'_>> {
        match self {
            Self::Sampled(texts) => {
                let unfinished = texts.iter().filter(|(_, text)| text.finished.is_none());
                unfinished.filter_map(|(id, text)| Some(text.next_input((*id)?))).collect()
            }
            Self::Beams(ids, search) => {
                ids.iter().zip(search.tokens().chunks(1)).map(|(id, token)| StepInput::generated(*id, token)).collect()
            }
            Self::Scored(scoring) => scoring.inputs(),
        }
    }

    /// Selects the first tokens after the prompt, whose sequence is copied for each text.
    pub(super) fn begin(
        &mut self,
        prompt: SequenceId,
        logits: &[f32],
        sequences: &mut Sequences,
    ) -> Result<Delta, Error> {
        match self {
            Self::Sampled(texts) => {
                let mut delta = Delta::default();
                for (index, (id, text)) in texts.iter_mut().enumerate() {
                    *id = Some(if index == 0 { prompt } else { sequences.fork(prompt) });
                    delta = text.step(&mut logits.to_vec())?;
                }
                Ok(delta.if_only(texts.len() == 1))
            }
            Self::Beams(ids, search) => {
                let beams = search.beams();
                *ids = std::iter::once(prompt).chain((1..beams).map(|_| sequences.fork(prompt))).collect();
                Self::advance_beams(ids, search, &logits.repeat(beams), sequences)?;
                Ok(Delta::default())
            }
            Self::Scored(scoring) => {
                scoring.begin(prompt, logits)?;
                Ok(Delta::default())
            }
        }
    }

    /// Selects the next tokens of each unfinished sequence from its logits. Returns what is new if there is only one
    /// text, and the number of drafted tokens that are part of the texts.
    pub(super) fn advance(&mut self, logits: &mut [f32], sequences: &mut Sequences) -> Result<(Delta, usize), Error> {
        match self {
            Self::Sampled(texts) => {
                let single = texts.len() == 1;
                let unfinished = || texts.iter().filter(|(_, text)| text.finished.is_none());
                let rows: usize = unfinished().map(|(_, text)| text.logit_rows()).sum();
                let vocabulary = logits.len() / rows.max(1);
                let (mut delta, mut accepted, mut rest) = (Delta::default(), 0, logits);
                for (id, text) in texts.iter_mut().filter(|(_, text)| text.finished.is_none()) {
                    let (own, others) = rest.split_at_mut(text.logit_rows() * vocabulary);
                    rest = others;
                    let (new, count) = text.advance(own)?;
                    (delta, accepted) = (new, accepted + count);
                    if let Some(id) = *id {
                        sequences.truncate(id, text.done());
                    }
                }
                self.release(sequences);
                Ok((delta.if_only(single), accepted))
            }
            Self::Beams(ids, search) => {
                Self::advance_beams(ids, search, logits, sequences)?;
                Ok((Delta::default(), 0))
            }
            Self::Scored(scoring) => {
                scoring.advance(logits, sequences)?;
                Ok((Delta::default(), 0))
            }
        }
    }

    /// [`advance`](Self::advance) for greedy texts with the argmax of the logits.
    pub(super) fn push(
        &mut self,
        tokens: &[(u32, f32)],
        vocabulary: usize,
        sequences: &mut Sequences,
    ) -> Result<Delta, Error> {
        let Self::Sampled(texts) = self else { return Ok(Delta::default()) };
        let single = texts.len() == 1;
        let unfinished = texts.iter_mut().filter(|(_, text)| text.finished.is_none());
        let mut delta = Delta::default();
        for ((_, text), &(token, logit)) in unfinished.zip(tokens) {
            if logit.is_nan() || logit == f32::NEG_INFINITY {
                return Err(smolvlm_generate::Error::AllNan { vocabulary }.into());
            }
            delta = text.push(SampledToken { token, logprob: None })?;
        }
        self.release(sequences);
        Ok(delta.if_only(single))
    }

    /// [`advance`](Self::advance) with the most likely tokens of each row. Where they are none or not enough,
    /// `all_logits` reads those of a row.
    pub(super) fn push_top(
        &mut self,
        rows: &[Option<TopTokens>],
        sequences: &mut Sequences,
        all_logits: impl Fn(usize, &Sequences) -> Result<Vec<f32>, Error>,
    ) -> Result<Delta, Error> {
        let Self::Sampled(texts) = self else { return Ok(Delta::default()) };
        let single = texts.len() == 1;
        let unfinished = texts.iter_mut().filter(|(_, text)| text.finished.is_none());
        let mut delta = Delta::default();
        for ((_, text), (row, tokens)) in unfinished.zip(rows.iter().enumerate()) {
            delta = match text.step_top(tokens.as_deref().unwrap_or_default())? {
                Some(delta) => delta,
                None => text.step(&mut all_logits(row, sequences)?)?,
            };
        }
        self.release(sequences);
        Ok(delta.if_only(single))
    }

    fn advance_beams(
        ids: &mut Vec<SequenceId>,
        search: &mut Search,
        logits: &[f32],
        sequences: &mut Sequences,
    ) -> Result<(), Error> {
        let parents = search.advance(logits)?;
        let next: Vec<SequenceId> = parents.into_iter().map(|parent| sequences.fork(ids[parent])).collect();
        std::mem::replace(ids, next).into_iter().for_each(|id| sequences.remove(id));
        Ok(())
    }

    /// Removes the sequences of finished texts, except for that of a single text, which can be kept for later prompts.
    fn release(&mut self, sequences: &mut Sequences) {
        let Self::Sampled(texts) = self else { return };
        if texts.len() > 1 {
            let finished = texts.iter_mut().filter(|(_, text)| text.finished.is_some());
            finished.filter_map(|(id, _)| id.take()).for_each(|id| sequences.remove(id));
        }
    }

    /// Ends all unfinished texts; returns text that was held back, if there is only one text.
    pub(super) fn end(&mut self, reason: FinishReason) -> Result<Delta, Error> {
        match self {
            Self::Sampled(texts) => {
                let single = texts.len() == 1;
                let mut rest = Delta::default();
                for (_, text) in texts {
                    rest = text.end(reason)?;
                }
                Ok(rest.if_only(single))
            }
            Self::Beams(_, search) => {
                search.end(reason);
                Ok(Delta::default())
            }
            Self::Scored(scoring) => {
                scoring.end();
                Ok(Delta::default())
            }
        }
    }

    /// All sequences, which the caller removes.
    pub(super) fn take_sequences(&mut self) -> Vec<SequenceId> {
        match self {
            Self::Sampled(texts) => texts.iter_mut().filter_map(|(id, _)| id.take()).collect(),
            Self::Beams(ids, _) => std::mem::take(ids),
            Self::Scored(scoring) => scoring.take_sequences(),
        }
    }

    /// The tokens after a prompt of some tokens that can be kept for later prompts: those of a single text.
    pub(super) fn kept_tokens(&self, prompt_len: usize) -> Option<&[u32]> {
        match self {
            Self::Sampled(texts) => match texts.as_slice() {
                [(_, text)] => text.ids().get(prompt_len..),
                _ => None,
            },
            Self::Beams(..) => None,
            Self::Scored(_) => Some(&[]),
        }
    }

    /// The log-probabilities of given answers.
    pub(super) fn scores(&self) -> Result<Vec<f64>, Error> {
        match self {
            Self::Scored(scoring) => scoring.scores(),
            Self::Sampled(_) | Self::Beams(..) => Ok(Vec::new()),
        }
    }

    /// The finished texts with their metadata.
    pub(super) fn into_generations(
        self,
        loaded: &Loaded,
        cached_tokens: usize,
        timings: Timings,
    ) -> Result<Vec<Generation>, Error> {
        match self {
            Self::Sampled(texts) => {
                let generation = |(_, text): (_, Sequence)| text.into_generation(cached_tokens, timings);
                Ok(texts.into_iter().map(generation).collect())
            }
            Self::Beams(_, search) => search.into_generations(loaded, cached_tokens, timings),
            Self::Scored(_) => Ok(Vec::new()),
        }
    }
}
