//! What a finished answer is.

use smolvlm_generate::{FinishReason, TokenLogprobs};
use smolvlm_processor::VideoNote;
use std::time::Duration;

/// A finished answer and how it came about.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Generation {
    /// The answer's text, exactly as the tokens decode. A model writes the space after `Assistant:` itself, so the
    /// text usually begins with one.
    pub text: String,
    /// The new tokens, with the end token if one was chosen.
    pub token_ids: Vec<u32>,
    /// Tokens in the prompt, image tokens included, padding not.
    pub prompt_tokens: usize,
    /// Of them, tokens that an earlier turn of a [`Chat`](crate::Chat) had left in memory.
    pub cached_tokens: usize,
    /// Why the answer ended.
    pub finish_reason: FinishReason,
    /// Log-probabilities of each new token, where [`SamplingParams::logprobs`](crate::SamplingParams::logprobs) asks for
    /// them.
    pub logprobs: Vec<TokenLogprobs>,
    /// The text's score in a beam search.
    pub score: Option<f32>,
    /// What the user should know about the images and videos although they could be used, such as that a video is cut off.
    pub notes: Vec<VideoNote>,
    /// Where the time went. In a batch all rows share the same figures.
    pub timings: Timings,
}

impl Generation {
    /// The answer without the blank that models put in front of it.
    pub fn text(&self) -> &str {
        self.text.trim_start()
    }
}

/// Wall-clock time of each stage of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Reading and decoding the media, tiling, prompt expansion and tokenization.
    pub process: Duration,
    /// Vision encoder and connector over all tiles.
    pub vision: Duration,
    /// The prompt through the text model, until the first token is known.
    pub prefill: Duration,
    /// All tokens after the first.
    pub decode: Duration,
    /// Decode steps behind `decode`: in a batch one step makes one token for every row.
    pub decode_steps: usize,
}

impl Timings {
    /// Time until the first token was known.
    pub fn first_token(&self) -> Duration {
        self.process + self.vision + self.prefill
    }

    /// Time of the whole request.
    pub fn total(&self) -> Duration {
        self.first_token() + self.decode
    }

    /// Decode steps a second; none before the second token.
    pub fn decode_rate(&self) -> Option<f64> {
        let seconds = self.decode.as_secs_f64();
        (self.decode_steps > 0 && seconds > 0.0).then(|| self.decode_steps as f64 / seconds)
    }
}
