//! Token choice and stop rules for SmolVLM: logits rows in, tokens out.
//!
//! No tensor library: a row of logits is a slice of floats. [`SamplingParams`] says what is wanted, a [`Sampler`] chooses
//! tokens, a [`StopRule`] says when a text is complete and a [`FinishReason`] why.
//!
//! ```
//! use smolvlm_generate::{FinishReason, Sampler, SamplingParams, StopRule};
//!
//! let params = SamplingParams::greedy().eos_token_ids([7]).max_new_tokens(64);
//! let (mut sampler, mut stop) = (Sampler::greedy(), StopRule::new(&params));
//! let token = sampler.sample(&[0.1, 2.5, -1.0, 0.0, 0.0, 0.0, 0.0, 2.0])?;
//! assert_eq!((token, stop.observe(token)), (1, None));
//! assert_eq!(stop.observe(7), Some(FinishReason::Eos));
//! # Ok::<(), smolvlm_generate::Error>(())
//! ```

mod error;
mod params;
mod sampler;
mod stop;

pub use error::Error;
pub use params::SamplingParams;
pub use sampler::Sampler;
pub use stop::{FinishReason, StopRule};
