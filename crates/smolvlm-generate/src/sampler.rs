//! Selection of the next token from a row of logits.

use crate::processors::at_temperature;
use crate::random::Random;
use crate::ranking::largest;
use crate::softmax::Softmax;
use crate::{Error, LogitsProcessors, SamplingParams, TokenMask};
use serde::{Deserialize, Serialize};

/// Selects the next token from a row of logits: the most likely one, or a sampled one.
#[derive(Debug)]
pub struct Sampler {
    processors: LogitsProcessors,
    /// Present only for sampling.
    random: Option<Random>,
    logprobs: Option<usize>,
    /// Present if the token is selected among the most likely ones.
    top: Option<Top>,
    /// A copy of the unprocessed logits if log-probabilities are requested.
    raw: Vec<f32>,
}

/// Number of most likely tokens among which the next one is selected, and the temperature that is applied before.
#[derive(Debug, Clone, Copy)]
struct Top {
    count: usize,
    temperature: f32,
}

/// A selected token.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledToken {
    /// The token id.
    pub token: u32,
    /// Its log-probabilities if [`SamplingParams::logprobs`] is set.
    pub logprob: Option<TokenLogprobs>,
}

/// Natural logarithms of the model's probabilities: the log-softmax of the logits before any penalty, temperature or
/// truncation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprobs {
    /// Log-probability of the selected token.
    pub logprob: f32,
    /// The most likely tokens and their log-probabilities, most likely first; as many as requested.
    pub top: Vec<(u32, f32)>,
}

impl Sampler {
    /// A sampler for `params`. `stream` is the row's index in its batch: rows with different streams sample
    /// independently, and the samples of a row depend only on the seed and the stream.
    ///
    /// `params` must have passed [`validate`](SamplingParams::validate).
    ///
    /// # Panics
    ///
    /// If tokens are sampled without a seed and the operating system provides no randomness.
    pub fn new(params: &SamplingParams, stream: u64) -> Self {
        let processors = LogitsProcessors::new(params);
        let is_greedy = !params.do_sample && processors.is_empty();
        let top = if is_greedy {
            Some(Top { count: 1, temperature: 1.0 })
        } else {
            let top = Top { count: params.top_k, temperature: params.temperature };
            LogitsProcessors::starts_with_top_k(params).then_some(top)
        };
        Self {
            processors,
            top: top.filter(|_| params.logprobs.is_none()),
            random: params.do_sample.then(|| Random::new(params.seed, stream)),
            logprobs: params.logprobs,
            raw: Vec::new(),
        }
    }

    /// A sampler that takes the most likely token.
    pub fn greedy() -> Self {
        Self::new(&SamplingParams::greedy(), 0)
    }

    /// Whether [`sample`](Self::sample) returns the argmax of the unprocessed logits, so that the other logits are not
    /// needed. [`sample_masked`](Self::sample_masked) always needs them.
    pub fn is_greedy(&self) -> bool {
        self.needs_top() == Some(1)
    }

    /// Number of most likely tokens that [`sample_top`](Self::sample_top) needs to select one: 1 in greedy decoding,
    /// and one more than are considered in sampling. None if all logits are needed.
    pub fn needs_top(&self) -> Option<usize> {
        self.top.map(|top| top.count.saturating_add(usize::from(self.random.is_some())))
    }

    /// As [`sample`](Self::sample), given only the most likely tokens in ascending order with their logits: those whose
    /// logit is at least that of the last of the [needed](Self::needs_top) ones, or more. None if that is not enough:
    /// if scores are equal at the temperature, or all logits are NaN. No random number is drawn then.
    ///
    /// # Errors
    ///
    /// As [`sample`](Self::sample).
    pub fn sample_top(&mut self, tokens: &[(u32, f32)]) -> Result<Option<SampledToken>, Error> {
        let Some(top) = self.top.filter(|_| !tokens.is_empty()) else { return Ok(None) };
        let mut scores: Vec<f32> = tokens.iter().map(|(_, logit)| *logit).collect();
        let index = match &mut self.random {
            Some(random) => {
                // Tokens that are not given may be tied with the last that is considered, unless a given one is less.
                let last = largest(scores.iter().copied(), top.count).last().map(|last| last.score);
                let least = scores.iter().copied().fold(f32::INFINITY, f32::min);
                let is_less = |last| at_temperature(least, top.temperature) < at_temperature(last, top.temperature);
                if !last.is_some_and(is_less) {
                    return Ok(None);
                }
                self.processors.apply(&[], 0, &mut scores)?;
                draw(&scores, random)?
            }
            None => argmax(&scores)?,
        };
        Ok(tokens.get(index as usize).map(|(token, _)| SampledToken { token: *token, logprob: None }))
    }

    /// Selects the token that follows `ids`: prompt and generated tokens of the row without padding, where the first
    /// `prompt_len` are the prompt. The logits are processed in place.
    ///
    /// In greedy decoding, this is the token with the largest score, the first one on ties, like torch's `argmax`;
    /// otherwise it is sampled from the softmax of the scores. NaN scores are skipped, whereas torch takes the first of
    /// them or fails.
    ///
    /// # Shapes
    ///
    /// `logits`: `[vocabulary]`, the last position of one row.
    ///
    /// # Errors
    ///
    /// [`Error::AllNan`] if the row is empty or all scores are NaN, [`Error::NoToken`] if all tokens are masked, and
    /// those of [`LogitsProcessors::apply`].
    pub fn sample(&mut self, ids: &[u32], prompt_len: usize, logits: &mut [f32]) -> Result<SampledToken, Error> {
        self.sample_from(ids, prompt_len, logits, None)
    }

    /// As [`sample`](Self::sample), but only among the tokens that a constraint allows. The mask is applied after
    /// penalties, bans and minimum lengths, and before temperature and truncation. Log-probabilities are those without
    /// it. No random number is drawn if only one token is allowed.
    ///
    /// # Errors
    ///
    /// As [`sample`](Self::sample), and [`Error::NoToken`] if everything that the constraint allows is banned or
    /// suppressed.
    pub fn sample_masked(
        &mut self,
        ids: &[u32],
        prompt_len: usize,
        logits: &mut [f32],
        mask: &TokenMask,
    ) -> Result<SampledToken, Error> {
        let choice = self.sample_from(ids, prompt_len, logits, Some(mask))?;
        // In greedy decoding, the first of all tokens is the largest if all are masked.
        let score = logits.get(choice.token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        if score == f32::NEG_INFINITY { Err(Error::NoToken { vocabulary: logits.len() }) } else { Ok(choice) }
    }

    fn sample_from(
        &mut self,
        ids: &[u32],
        prompt_len: usize,
        logits: &mut [f32],
        mask: Option<&TokenMask>,
    ) -> Result<SampledToken, Error> {
        if self.logprobs.is_some() {
            self.raw.clear();
            self.raw.extend_from_slice(logits);
        }
        self.processors.apply_masked(ids, prompt_len, logits, mask)?;
        // A single token needs no random number: runtimes may append it without a call, and draw the same ones later.
        let is_forced = mask.is_some_and(TokenMask::is_single);
        let token = match &mut self.random {
            Some(random) if !is_forced => draw(logits, random)?,
            _ => argmax(logits)?,
        };
        let logprob = self.logprobs.map(|top| token_logprobs(&self.raw, token, top));
        Ok(SampledToken { token, logprob })
    }
}

fn argmax(scores: &[f32]) -> Result<u32, Error> {
    let mut best: Option<(u32, f32)> = None;
    for (token, &score) in (0..).zip(scores) {
        // Comparisons with NaN are false, so only the first number must be checked.
        let better = match best {
            Some((_, largest)) => score > largest,
            None => !score.is_nan(),
        };
        if better {
            best = Some((token, score));
        }
    }
    best.map(|(token, _)| token).ok_or(Error::AllNan { vocabulary: scores.len() })
}

fn draw(scores: &[f32], random: &mut Random) -> Result<u32, Error> {
    let softmax = Softmax::of(scores.iter().copied());
    let mut left = random.fraction() * softmax.sum();
    let mut last = None;
    for (token, &score) in (0..).zip(scores) {
        let weight = if softmax.is_empty() { 0.0 } else { softmax.weight(score) };
        if weight > 0.0 {
            if left < weight {
                return Ok(token);
            }
            left -= weight;
            last = Some(token);
        }
    }
    // Due to rounding, a small remainder may be left after the last token.
    last.ok_or_else(|| {
        let vocabulary = scores.len();
        let all_nan = scores.iter().all(|score| score.is_nan());
        if all_nan { Error::AllNan { vocabulary } } else { Error::NoToken { vocabulary } }
    })
}

fn token_logprobs(raw: &[f32], token: u32, top: usize) -> TokenLogprobs {
    let softmax = Softmax::of(raw.iter().copied());
    let chosen = raw.get(token as usize).map_or(f32::NAN, |&logit| softmax.log_prob(logit));
    let top = largest(raw.iter().copied(), top);
    TokenLogprobs {
        logprob: chosen,
        top: top.iter().map(|token| (token.index as u32, softmax.log_prob(token.score))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greedy(logits: &[f32]) -> Result<u32, Error> {
        Sampler::greedy().sample(&[], 0, &mut logits.to_vec()).map(|choice| choice.token)
    }

    fn drawn(params: &SamplingParams, stream: u64, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(params, stream);
        let draw = |_| sampler.sample(&[1], 1, &mut logits.to_vec()).unwrap().token;
        (0..count).map(draw).collect()
    }

    const ROW: [f32; 8] = [2.0, 1.0, 0.5, -1.0, 3.0, 0.0, -2.0, 2.5];

    #[test]
    fn greedy_takes_the_first_of_tied_tokens() {
        assert_eq!(greedy(&ROW), Ok(4));
        assert_eq!(greedy(&[1.0, 1.0, 1.0, 0.0]), Ok(0));
        assert_eq!(greedy(&[-3.0, -1.0, -2.0, -1.0]), Ok(1));
        assert_eq!(greedy(&[-0.0, 0.0]), Ok(0));
        assert_eq!(greedy(&[f32::MAX, f32::INFINITY, f32::INFINITY]), Ok(1));
    }

    #[test]
    fn is_greedy_only_without_processing_and_logprobs() {
        let takes = |params: SamplingParams| Sampler::new(&params, 0).is_greedy();
        assert!(takes(SamplingParams::greedy()));
        assert!(!takes(SamplingParams::sampling()));
        assert!(!takes(SamplingParams::greedy().logprobs(0)));
        assert!(!takes(SamplingParams::greedy().repetition_penalty(1.1)));
    }

    #[test]
    fn partly_masked_rows_give_a_token() {
        let masked = f32::NEG_INFINITY;
        assert_eq!(greedy(&[masked, masked, -1e30]), Ok(2));
        assert_eq!(greedy(&[masked, masked]), Ok(0));
    }

    #[test]
    fn only_tokens_of_the_mask_are_selected() {
        let mask = TokenMask::new([1, 3]);
        let params = [SamplingParams::greedy(), SamplingParams::sampling().seed(1).top_k(1)];
        for params in params {
            let mut sampler = Sampler::new(&params.clone().logprobs(1), 0);
            let choice = sampler.sample_masked(&[], 0, &mut ROW.to_vec(), &mask).unwrap();
            assert_eq!(choice.token, 1);
            assert_eq!(choice.logprob.unwrap().top[0].0, 4, "log-probabilities are those of the model");
            let mut banned = Sampler::new(&SamplingParams { suppress_tokens: vec![1, 3], ..params }, 0);
            let none = banned.sample_masked(&[], 0, &mut ROW.to_vec(), &mask);
            assert_eq!(none, Err(Error::NoToken { vocabulary: 8 }));
        }
    }

    #[test]
    fn single_tokens_of_a_mask_draw_no_random_numbers() {
        let params = SamplingParams::sampling().seed(7);
        let mut sampler = Sampler::new(&params, 0);
        let expected = drawn(&params, 0, &ROW, 20);
        for expected in expected {
            let forced = sampler.sample_masked(&[1], 1, &mut ROW.to_vec(), &TokenMask::new([6])).unwrap();
            assert_eq!(forced.token, 6);
            assert_eq!(sampler.sample(&[1], 1, &mut ROW.to_vec()).unwrap().token, expected);
        }
    }

    /// The tokens whose logit is at least that of the last of the needed ones.
    fn top(logits: &[f32], needed: usize) -> Vec<(u32, f32)> {
        let least = largest(logits.iter().copied(), needed).last().unwrap().score;
        (0..).zip(logits.iter().copied()).filter(|(_, logit)| *logit >= least).collect()
    }

    #[test]
    fn most_likely_tokens_give_the_samples_of_all() {
        let mut random = Random::new(Some(5), 0);
        let settings: [fn(SamplingParams) -> SamplingParams; 5] = [
            |params| params.top_k(20),
            |params| params.top_k(50).temperature(0.3).top_p(0.8),
            |params| params.top_k(7).temperature(4.0),
            |params| SamplingParams { min_p: Some(0.1), typical_p: 0.9, renormalize_logits: true, ..params.top_k(12) },
            |params| SamplingParams { do_sample: false, ..params },
        ];
        for set in settings {
            let params = set(SamplingParams::sampling().seed(3));
            let [mut one, mut other] = [(), ()].map(|()| Sampler::new(&params, 0));
            let needed = one.needs_top().unwrap();
            assert_eq!(needed, if params.do_sample { params.top_k + 1 } else { 1 });
            for _ in 0..60 {
                let logits: Vec<f32> = (0..400).map(|_| (random.fraction() * 8.0) as f32).collect();
                let found = one.sample_top(&top(&logits, needed)).unwrap().unwrap();
                assert_eq!(found, other.sample(&[1], 1, &mut logits.clone()).unwrap());
            }
        }
    }

    #[test]
    fn all_logits_are_needed_for_ties_and_other_processors() {
        let params = SamplingParams::sampling().seed(3).top_k(2);
        let mut sampler = Sampler::new(&params, 0);
        // The third token is as likely as the second one, and so may others be that are not given.
        assert_eq!(sampler.sample_top(&[(3, 2.0), (5, 1.0), (9, 1.0)]), Ok(None));
        assert_eq!(sampler.sample_top(&[]), Ok(None));
        let mut hot = Sampler::new(&params.clone().temperature(1.7), 0);
        assert_eq!(hot.sample_top(&[(3, 2.0), (5, 1.0), (9, 0.999_999_94)]), Ok(None), "equal when divided");
        let other = [
            params.clone().top_k(0),
            params.clone().logprobs(0),
            params.clone().repetition_penalty(1.1),
            SamplingParams { top_h: Some(0.5), ..params.clone() },
            SamplingParams { suppress_tokens: vec![1], ..SamplingParams::greedy() },
        ];
        for params in other {
            assert_eq!(Sampler::new(&params, 0).needs_top(), None, "{params:?}");
        }
    }

    #[test]
    fn nan_is_skipped_at_any_index() {
        let nan = f32::NAN;
        assert_eq!(greedy(&[nan, -5.0, nan, -4.0, nan]), Ok(3));
        assert_eq!(greedy(&[nan, f32::NEG_INFINITY]), Ok(1));
    }

    #[test]
    fn all_nan_row_is_an_error() {
        assert_eq!(greedy(&[f32::NAN; 3]), Err(Error::AllNan { vocabulary: 3 }));
        assert_eq!(greedy(&[]), Err(Error::AllNan { vocabulary: 0 }));
        assert!(greedy(&[f32::NAN; 3]).unwrap_err().to_string().contains("all 3 logits are NaN"));
    }

    #[test]
    fn samples_are_reproducible_by_seed_and_stream() {
        let params = SamplingParams::sampling().seed(7);
        assert_eq!(drawn(&params, 0, &ROW, 50), drawn(&params, 0, &ROW, 50));
        assert_ne!(drawn(&params, 0, &ROW, 50), drawn(&params, 1, &ROW, 50));
        assert_ne!(drawn(&params, 0, &ROW, 50), drawn(&params.clone().seed(8), 0, &ROW, 50));
        let fresh = SamplingParams::sampling();
        assert_ne!(drawn(&fresh, 0, &ROW, 50), drawn(&fresh, 0, &ROW, 50));
    }

    #[test]
    fn masked_tokens_are_never_sampled() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let params = SamplingParams::sampling().seed(1).top_k(0);
        assert_eq!(drawn(&params, 0, &[-inf, 1.0, nan, -inf], 20), [1; 20]);
        assert_eq!(drawn(&params, 0, &[5.0, inf, nan, -inf], 20), [1; 20]);
        assert_eq!(drawn(&params, 0, &[f32::MIN, f32::MAX], 20), [1; 20]);
        assert_eq!(drawn(&params, 0, &[-7.0], 20), [0; 20]);
        let mut sampler = Sampler::new(&params, 0);
        assert_eq!(sampler.sample(&[], 0, &mut [-inf, nan]), Err(Error::NoToken { vocabulary: 2 }));
        assert_eq!(sampler.sample(&[], 0, &mut [nan, nan]), Err(Error::AllNan { vocabulary: 2 }));
        assert_eq!(sampler.sample(&[], 0, &mut []), Err(Error::AllNan { vocabulary: 0 }));
    }

    #[test]
    fn logprobs_are_those_of_the_unprocessed_logits() {
        let params = SamplingParams::greedy().repetition_penalty(2.0).logprobs(2);
        let choice = Sampler::new(&params, 0).sample(&[4, 4], 1, &mut ROW.to_vec()).unwrap();
        let logprobs = choice.logprob.unwrap();
        assert_eq!(choice.token, 7);
        assert!((logprobs.logprob + 1.318_312).abs() < 1e-6);
        assert_eq!(logprobs.top.iter().map(|top| top.0).collect::<Vec<_>>(), [4, 7]);
        assert!((logprobs.top[0].1 + 0.818_312).abs() < 1e-6);

        let only_chosen = Sampler::new(&params.logprobs(0), 0).sample(&[], 0, &mut ROW.to_vec()).unwrap();
        assert_eq!(only_chosen.logprob.unwrap().top, []);
        assert_eq!(Sampler::greedy().sample(&[], 0, &mut ROW.to_vec()).unwrap().logprob, None);
    }
}
