//! Beam search.

use crate::params::as_written;
use crate::random::Random;
use crate::ranking::{Ranked, largest};
use crate::softmax::Softmax;
use crate::{EarlyStopping, Error, FinishReason, LogitsProcessors, SamplingParams};

/// What the reference lowers a score by to put it behind all others, as f32.
const FAR_BELOW: f32 = -1e9;

/// The beam search of one prompt: keeps the best unfinished texts, the beams, and the best finished ones.
///
/// The caller runs the model; [`advance`](Self::advance) takes its logits and says which beams go on with which token,
/// until it is done; [`finish`](Self::finish) gives the texts. The algorithm is that of the reference's `_beam_search`:
/// processors see log-probabilities, a text's score is their sum divided by its length to the power of
/// `length_penalty`. With `do_sample`, continuations are drawn without replacement instead of taking the best.
///
/// Everything is known about one prompt only, so a batch gives each prompt what it would have alone.
#[derive(Debug)]
pub struct BeamSearch {
    prompt_len: usize,
    vocabulary: usize,
    limit: usize,
    /// How many continuations of all beams are looked at in a step.
    candidates: usize,
    eos_token_ids: Vec<u32>,
    length_penalty: f64,
    early_stopping: EarlyStopping,
    num_return_sequences: usize,
    seed: Option<u64>,
    processors: LogitsProcessors,
    /// Only for drawn continuations.
    random: Option<Random>,
    interrupted: Option<FinishReason>,
    running: Vec<Beam>,
    /// The best finished texts, the best first, never more than there are beams.
    finished: Vec<Hypothesis>,
    /// Scores of every continuation, `[beams, vocabulary]`.
    scores: Vec<f32>,
}

/// A text that is not finished.
#[derive(Debug, Clone)]
struct Beam {
    /// Prompt and generated tokens.
    ids: Vec<u32>,
    /// The sum of their log-probabilities.
    score: f32,
}

/// A beam with one more token.
struct Candidate {
    parent: usize,
    token: u32,
    beam: Beam,
    /// Why the text ends with that token.
    end: Option<FinishReason>,
}

/// What comes after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeamStep {
    /// Every beam goes on.
    Continue {
        /// For every beam, which of the beams before this step it continues: cache rows are reordered by it.
        parents: Vec<usize>,
        /// For every beam, the token to feed next.
        tokens: Vec<u32>,
    },
    /// No better text can come.
    Done,
}

/// A text that a beam search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// The generated tokens, the end token included.
    pub tokens: Vec<u32>,
    /// The sum of their processed log-probabilities, divided by their number to the power of `length_penalty`.
    pub score: f32,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

impl BeamSearch {
    /// A search behind `prompt`, its tokens without padding, for a model of `vocabulary` tokens.
    ///
    /// # Errors
    ///
    /// Those of [`SamplingParams::validate`] and [`SamplingParams::limit`], and [`Error::Vocabulary`] for a vocabulary
    /// that may leave no token but end tokens.
    ///
    /// # Panics
    ///
    /// When tokens are to be drawn without a seed and the operating system has no randomness to give.
    pub fn new(params: &SamplingParams, prompt: &[u32], vocabulary: usize) -> Result<Self, Error> {
        params.validate()?;
        let beams = params.num_beams;
        // Even if every end token is among the best continuations of every beam, there is one to go on with.
        let needed = (1 + params.eos_token_ids.len()).max(2);
        if vocabulary < needed {
            return Err(Error::Vocabulary { vocabulary, needed });
        }
        // The beams are equal at first; only the first counts, so that they do not stay so.
        let running =
            (0..beams).map(|beam| Beam { ids: prompt.to_vec(), score: if beam == 0 { 0.0 } else { FAR_BELOW } });
        let search = Self {
            prompt_len: prompt.len(),
            vocabulary,
            limit: params.limit(prompt.len())?,
            candidates: needed * beams,
            eos_token_ids: params.eos_token_ids.clone(),
            length_penalty: as_written(params.length_penalty),
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

    /// Draws from another stream of random numbers: the number of the prompt in its batch. It is 0 otherwise.
    #[must_use]
    pub fn stream(mut self, stream: u64) -> Self {
        if self.random.is_some() {
            self.random = Some(Random::new(self.seed, stream));
        }
        self
    }

    /// The number of beams.
    pub fn beams(&self) -> usize {
        self.running.len()
    }

    /// Ends every text with the next step's token, for this reason; or without a further step at
    /// [`finish`](Self::finish).
    pub fn interrupt(&mut self, reason: FinishReason) {
        self.interrupted = Some(reason);
    }

    /// Takes one step. `stopped` says of generated tokens whether the text ends with the newest of them for a reason
    /// of the caller, such as a stop string; end tokens and lengths are seen to here.
    ///
    /// # Shapes
    ///
    /// `logits`: `[beams, vocabulary]`, the last position of every beam, as the model gave them. In the first step all
    /// rows are equal.
    ///
    /// # Errors
    ///
    /// [`Error::BeamLogits`] for another number of logits, [`Error::NoNumber`] when they hold too few numbers, those of
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
            return Err(Error::NoNumber { vocabulary: self.vocabulary });
        }
        let mut candidates = Vec::with_capacity(chosen.len());
        for Ranked { place, score } in chosen {
            candidates.extend(self.candidate(place, score, stopped)?);
        }
        let length = candidates.first().map_or(0, |best| self.generated(&best.beam).len());

        self.add_finished(&candidates);
        let all_end = candidates.iter().all(|candidate| candidate.end.is_some());
        let (parents, tokens) = self.select_running(candidates);
        Ok(if all_end || !self.can_improve(length) { BeamStep::Done } else { BeamStep::Continue { parents, tokens } })
    }

    /// The best texts, `num_return_sequences` of them, the best first. Where fewer are finished, unfinished ones follow.
    pub fn finish(mut self) -> Vec<Hypothesis> {
        let finish_reason = self.interrupted.unwrap_or(FinishReason::Length);
        let unfinished: Vec<Hypothesis> =
            self.running.iter().map(|beam| self.hypothesis(beam, finish_reason)).collect();
        self.finished.extend(unfinished);
        self.finished.truncate(self.num_return_sequences);
        self.finished
    }

    /// Scores every continuation of every beam.
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

    /// The continuation at one place of the scores.
    fn candidate(
        &self,
        place: usize,
        score: f32,
        stopped: &mut dyn FnMut(&[u32]) -> Result<bool, Error>,
    ) -> Result<Option<Candidate>, Error> {
        let (parent, token) = (place / self.vocabulary, (place % self.vocabulary) as u32);
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

    /// Takes up the texts that ended, if they are among the best continuations and the best finished texts.
    fn add_finished(&mut self, candidates: &[Candidate]) {
        for candidate in candidates.iter().take(self.beams()) {
            if let Some(reason) = candidate.end {
                let text = self.hypothesis(&candidate.beam, reason);
                if text.score > FAR_BELOW {
                    self.finished.push(text);
                }
            }
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(self.beams());
    }

    /// Goes on with the best continuations that did not end; gives their parents and newest tokens.
    fn select_running(&mut self, candidates: Vec<Candidate>) -> (Vec<usize>, Vec<u32>) {
        let lowered = |candidate: &Candidate| candidate.beam.score + candidate.end.map_or(0.0, |_| FAR_BELOW);
        let best = largest(candidates.iter().map(lowered), self.beams());
        let chosen: Vec<(&Candidate, f32)> =
            best.iter().filter_map(|best| Some((candidates.get(best.place)?, best.score))).collect();
        self.running = chosen.iter().map(|&(chosen, score)| Beam { ids: chosen.beam.ids.clone(), score }).collect();
        chosen.iter().map(|(chosen, _)| (chosen.parent, chosen.token)).unzip()
    }

    /// Whether a beam may still become better than the worst finished text.
    fn can_improve(&self, length: usize) -> bool {
        let full = self.finished.len() == self.beams();
        if full && self.early_stopping == EarlyStopping::WhenFinished {
            return false;
        }
        let worst = self.finished.last().filter(|_| full).map_or(FAR_BELOW, |text| text.score);
        let far = self.early_stopping == EarlyStopping::WhenImpossible && self.length_penalty > 0.0;
        let best = self.running.first().map_or(FAR_BELOW, |beam| beam.score);
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

/// Draws `count` places without replacement from the softmax of `scores`, in the order in which they were drawn.
///
/// The largest of scores with Gumbel noise are such a draw.
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
        ranked.score = scores.get(ranked.place).copied().unwrap_or(f32::NAN);
    }
    drawn
}

#[cfg(test)]
mod tests;
