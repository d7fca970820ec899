#![doc = include_str!("../README.md")]
//!
//! # Contents
//!
//! A generation loop uses a [`Sampler`] to select the next token from a row of logits and a [`StopRule`] to check
//! whether that token ends the sequence; [`StopStrings`] check the bytes of the tokens. A [`BeamSearch`] replaces all
//! three for beam search. [`SamplingParams`] configure them. With the feature `constrain`, a [`Constraint`] is compiled
//! for a vocabulary and gives the [`TokenMask`] of each step. [`PromptLookup`] drafts tokens that a step verifies.
//! Behavior follows `GenerationMixin.generate` of transformers 5.24.0.

mod beam;
mod constraint;
mod error;
mod loop_guard;
mod params;
mod processors;
mod prompt_lookup;
mod random;
mod ranking;
mod sampler;
mod softmax;
mod stop;
mod stop_strings;
mod token_mask;

pub use beam::{BeamSearch, BeamStep, Hypothesis};
pub use constraint::Constraint;
#[cfg(feature = "constrain")]
pub use constraint::{ConstraintCompiler, ConstraintState, Vocabulary};
pub use error::Error;
pub use loop_guard::LoopGuard;
pub use params::SamplingParams;
pub use processors::LogitsProcessors;
pub use prompt_lookup::PromptLookup;
pub use sampler::{SampledToken, Sampler, TokenLogprobs};
pub use smolvlm_config::{
    EarlyStopping, Error as ConfigError, ExponentialDecay, GenerationConfig, ModelConfig, SequenceBias, Watermarking,
};
pub use softmax::token_logprobs;
pub use stop::{FinishReason, StopRule};
pub use stop_strings::StopStrings;
pub use token_mask::TokenMask;
