//! Beam search.

use crate::params::to_f64_decimal;
use crate::random::Random;
use crate::ranking::{Ranked, largest};
use crate::softmax::Softmax;
use crate::{EarlyStopping, Error, FinishReason, LogitsProcessors, SamplingParams};

/// The f32 offset by which the reference lowers a score to rank it below all others.
const MASK_PENALTY: f32 = -1e9;

/// Beam search for one prompt: keeps the best unfinished sequences (the beams) and the best finished ones.
///
/// The caller runs the model. [`advance`](Self::advance) takes its logits and returns how the beams continue until the
/// search is done; [`finish`](Self::finish) returns the sequences. The algorithm is the reference's `_beam_search`:
/// processors operate on log-probabilities, and the score of a sequence is their sum divided by its length to the power
/// of `length_penalty`. With `do_sample`, continuations are sampled without replacement instead of taking the best.
///
/// Each search handles one prompt, so the results for a prompt do not depend on its batch.
#[derive(Debug)]
pub struct BeamSearch {
    prompt_len: usize,
    vocabulary: usize,
    limit: usize,
    /// Number of continuations, over all beams, that are considered per step.
    candidates: usize,
    eos_token_ids: Vec<u32>,
    length_penalty: f64,
    early_stopping: EarlyStopping,
    num_return_sequences: usize,
    seed: Option<u64>,
    processors: LogitsProcessors,
    /// Present only if continuations are sampled.
    random: Option<Random>,
    interrupted: Option<FinishReason>,
    running: Vec<Beam>,
    /// The best finished sequences, best first; at most as many as there are beams.
    finished: Vec<Hypothesis>,
    /// Scores of all continuations, `[beams, vocabulary]`.
    scores: Vec<f32>,
}

/// An unfinished sequence.
#[derive(Debug, Clone)]
struct Beam {
    /// Prompt and generated tokens.
    ids: Vec<u32>,
    /// Sum of the log-probabilities.
    score: f32,
}

/// A beam extended by one token.
struct Candidate {
    parent: usize,
    token: u32,
    beam: Beam,
    /// Finish reason if the sequence ends with that token.
    end: Option<FinishReason>,
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeamStep {
    /// The search continues.
    Continue {
        /// For each beam, the index of the beam before this step that it continues; cache rows are reordered
        /// accordingly.
        parents: Vec<usize>,
        /// For each beam, the next input token.
        tokens: Vec<u32>,
    },
    /// The search is finished.
    Done,
}

/// A sequence found by beam search.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// The generated tokens, the end token included.
    pub tokens: Vec<u32>,
    /// Sum of the processed log-probabilities, divided by the number of tokens to the power of `length_penalty`.
    pub score: f32,
    /// Finish reason.
    pub finish_reason: FinishReason,
}

impl BeamSearch {
    /// A search for continuations of `prompt`, given without padding, by a model of `vocabulary` tokens.
    ///
    /// # Errors
    ///
    /// Those of [`SamplingParams::validate`] and [`SamplingParams::limit`], and [`Error::Vocabulary`] if the vocabulary
    /// is so small that only end tokens might be left.
    ///
    /// # Panics
    ///
    /// If tokens are sampled without a seed and the operating system provides no randomness.
    pub fn new(params: &SamplingParams, prompt: &[u32], vocabulary: usize) -> Result<Self, Error> {
        params.validate()?;
        let beams = params.num_beams;
        // Even if every end token is among the best continuations of every beam, enough other tokens are left.
        let needed = (1 + params.eos_token_ids.len()).max(2);
        if vocabulary < needed {
            return Err(Error::Vocabulary { vocabulary, needed });
        }
        // All beams are equal at first; only the first one counts, so that they diverge.
        let running =
            (0..beams).map(|beam| Beam { ids: prompt.to_vec(), score: if beam == 0 { 0.0 } else { MASK_PENALTY } });
        let search = Self {
            prompt_len: prompt.len(),
            vocabulary,
            limit: params.limit(prompt.len())?,
            candidates: needed * beams,
            eos_token_ids: params.eos_token_ids.clone(),
            length_penalty: to_f64_decimal(params.length_penalty),
            early_stopping: params.early_stopping,
            num_return_sequences: params.num_return_sequences,
            seed: params.seed,
            processors: LogitsProcessors::new(params),
            random: params.do_sample.then(|| Random::new(params.seed, 0)),
            interrupted: None,
            running: running.collect(),
            finished: Vec::new(),
            scores: Vec::new(),
        };
        Ok(search)
    }

    /// Sets the random number stream: the index of the prompt in its batch. The default is 0.
    #[must_use]
    pub fn stream(mut self, stream: u64) -> Self {
        if self.random.is_some() {
            self.random = Some(Random::new(self.seed, stream));
        }
        self
    }

    /// Number of beams.
    pub fn beams(&self) -> usize {
        self.running.len()
    }

    /// Ends all sequences with the token of the next step, for this reason; without a further step at
    /// [`finish`](Self::finish).
    pub fn interrupt(&mut self, reason: FinishReason) {
        self.interrupted = Some(reason);
    }

    /// Performs one step. `stopped` receives generated tokens and returns whether the sequence ends with the last of
    /// them for a reason of the caller, such as a stop string; end tokens and lengths are handled here.
    ///
    /// # Shapes
    ///
    /// `logits`: `[beams, vocabulary]`, the model output at the last position of each beam. In the first step all rows
    /// are equal.
    ///
    /// # Errors
    ///
    /// [`Error::BeamLogits`] for a wrong number of logits, [`Error::AllNan`] if too few of them are not NaN, those of
    /// [`LogitsProcessors::apply`], and that of `stopped`.
    pub fn advance(
        &mut self,
        logits: &[f32],
        stopped: &mut dyn FnMut(&[u32]) -> Result<bool, Error>,
    ) -> Result<BeamStep, Error> {
        self.score(logits)?;
        let chosen = match &mut self.random {
            Some(random) => draw(&self.scores, random, self.candidates),
            None => largest(self.scores.iter().copied(), self.candidates),
        };
        if chosen.len() < self.beams() {
            return Err(Error::AllNan { vocabulary: self.vocabulary });
        }
        let mut candidates = Vec::with_capacity(chosen.len());
        for Ranked { index, score } in chosen {
            candidates.extend(self.candidate(index, score, stopped)?);
        }
        let length = candidates.first().map_or(0, |best| self.generated(&best.beam).len());

        self.add_finished(&candidates);
        let all_end = candidates.iter().all(|candidate| candidate.end.is_some());
        let (parents, tokens) = self.select_running(candidates);
        Ok(if all_end || !self.can_improve(length) { BeamStep::Done } else { BeamStep::Continue { parents, tokens } })
    }

    /// The best `num_return_sequences` sequences, best first. If fewer are finished, unfinished ones follow.
    pub fn finish(mut self) -> Vec<Hypothesis> {
        let finish_reason = self.interrupted.unwrap_or(FinishReason::Length);
        let unfinished: Vec<Hypothesis> =
            self.running.iter().map(|beam| self.hypothesis(beam, finish_reason)).collect();
        self.finished.extend(unfinished);
        self.finished.truncate(self.num_return_sequences);
        self.finished
    }

    /// Computes the scores of all continuations of all beams.
    fn score(&mut self, logits: &[f32]) -> Result<(), Error> {
        let (beams, vocabulary) = (self.beams(), self.vocabulary);
        if logits.len() != beams * vocabulary {
            return Err(Error::BeamLogits { beams, vocabulary, found: logits.len() });
        }
        self.scores.clear();
        self.scores.extend_from_slice(logits);
        for (row, beam) in self.scores.chunks_exact_mut(vocabulary).zip(&self.running) {
            let softmax = Softmax::of(row.iter().copied());
            row.iter_mut().for_each(|score| *score = softmax.log_prob(*score));
            self.processors.apply(&beam.ids, self.prompt_len, row)?;
            row.iter_mut().for_each(|score| *score += beam.score);
        }
        Ok(())
    }

    /// The continuation at an index of the scores.
    fn candidate(
        &self,
        index: usize,
        score: f32,
        stopped: &mut dyn FnMut(&[u32]) -> Result<bool, Error>,
    ) -> Result<Option<Candidate>, Error> {
        let (parent, token) = (index / self.vocabulary, (index % self.vocabulary) as u32);
        let Some(before) = self.running.get(parent) else { return Ok(None) };
        let mut beam = Beam { ids: before.ids.clone(), score };
        beam.ids.push(token);
        let generated = self.generated(&beam);
        let end = if self.eos_token_ids.contains(&token) {
            Some(FinishReason::Eos)
        } else if generated.len() >= self.limit {
            Some(FinishReason::Length)
        } else if self.interrupted.is_some() {
            self.interrupted
        } else {
            stopped(generated)?.then_some(FinishReason::StopString)
        };
        Ok(Some(Candidate { parent, token, beam, end }))
    }

    /// Adds the sequences that ended, if they are among the best continuations and the best finished sequences.
    fn add_finished(&mut self, candidates: &[Candidate]) {
        for candidate in candidates.iter().take(self.beams()) {
            if let Some(reason) = candidate.end {
                let text = self.hypothesis(&candidate.beam, reason);
                if text.score > MASK_PENALTY {
                    self.finished.push(text);
                }
            }
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(self.beams());
    }

    /// Continues with the best continuations that did not end; returns their parents and new tokens.
    fn select_running(&mut self, candidates: Vec<Candidate>) -> (Vec<usize>, Vec<u32>) {
        let lowered = |candidate: &Candidate| candidate.beam.score + candidate.end.map_or(0.0, |_| MASK_PENALTY);
        let best = largest(candidates.iter().map(lowered), self.beams());
        let chosen: Vec<(&Candidate, f32)> =
            best.iter().filter_map(|best| Some((candidates.get(best.index)?, best.score))).collect();
        self.running = chosen.iter().map(|&(chosen, score)| Beam { ids: chosen.beam.ids.clone(), score }).collect();
        chosen.iter().map(|(chosen, _)| (chosen.parent, chosen.token)).unzip()
    }

    /// Whether a beam can still become better than the worst finished sequence.
    fn can_improve(&self, length: usize) -> bool {
        let full = self.finished.len() == self.beams();
        if full && self.early_stopping == EarlyStopping::WhenFinished {
            return false;
        }
        let worst = self.finished.last().filter(|_| full).map_or(MASK_PENALTY, |text| text.score);
        let far = self.early_stopping == EarlyStopping::WhenImpossible && self.length_penalty > 0.0;
        let best = self.running.first().map_or(MASK_PENALTY, |beam| beam.score);
        best / self.divisor(if far { self.limit } else { length }) > worst
    }

    fn generated<'a>(&self, beam: &'a Beam) -> &'a [u32] {
        beam.ids.get(self.prompt_len..).unwrap_or_default()
    }

    fn hypothesis(&self, beam: &Beam, finish_reason: FinishReason) -> Hypothesis {
        let tokens = self.generated(beam).to_vec();
        Hypothesis { score: beam.score / self.divisor(tokens.len().max(1)), tokens, finish_reason }
    }

    fn divisor(&self, length: usize) -> f32 {
        (length as f64).powf(self.length_penalty) as f32
    }
}

/// Samples `count` indices without replacement from the softmax of `scores`, in sampling order.
///
/// Uses the Gumbel top-k trick: the largest scores after adding Gumbel noise.
fn draw(scores: &[f32], random: &mut Random, count: usize) -> Vec<Ranked> {
    let noisy = scores.iter().map(|&score| {
        if score > f32::NEG_INFINITY {
            let exponential = -(1.0 - random.fraction()).ln();
            (f64::from(score) - exponential.ln()) as f32
        } else {
            score
        }
    });
    let mut drawn = largest(noisy, count);
    for ranked in &mut drawn {
        ranked.score = scores.get(ranked.index).copied().unwrap_or(f32::NAN);
    }
    drawn
}

#[cfg(test)]
mod tests;
