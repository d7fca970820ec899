//! Token selection and stopping criteria for SmolVLM, from logits to tokens, without a tensor library.
//!
//! A generation loop uses a [`Sampler`] to select the next token from a row of logits and a [`StopRule`] to check
//! whether that token ends the sequence; [`StopStrings`] check the bytes of the tokens. A [`BeamSearch`] replaces all
//! three for beam search. [`SamplingParams`] configure them.
//!
//! ```
//! use smolvlm_generate::{FinishReason, Sampler, SamplingParams, StopRule};
//!
//! let params = SamplingParams::greedy().max_new_tokens(8).eos_token_ids([2]);
//! params.validate()?;
//! let mut sampler = Sampler::greedy();
//! let mut stop = StopRule::new(&params, 3, 100);
//! let prompt = [0, 1, 1];
//! let choice = sampler.sample(&prompt, prompt.len(), &mut [0.1, -1.0, 3.5])?;
//! assert_eq!(choice.token, 2);
//! assert_eq!(stop.observe(choice.token), Some(FinishReason::Eos));
//! # Ok::<(), smolvlm_generate::Error>(())
//! ```
//!
//! Behavior follows `GenerationMixin.generate` of transformers 5.24.0.

mod beam;
mod error;
mod loop_guard;
mod params;
mod processors;
mod random;
mod ranking;
mod sampler;
mod softmax;
mod stop;
mod stop_strings;

pub use beam::{BeamSearch, BeamStep, Hypothesis};
pub use error::Error;
pub use loop_guard::LoopGuard;
pub use params::SamplingParams;
pub use processors::LogitsProcessors;
pub use sampler::{SampledToken, Sampler, TokenLogprobs};
pub use smolvlm_config::{EarlyStopping, ExponentialDecay, SequenceBias};
pub use stop::{FinishReason, StopRule};
pub use stop_strings::StopStrings;
