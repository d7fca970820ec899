//! The result of a request.

use serde::{Serialize, Serializer};
use smolvlm_generate::{FinishReason, TokenLogprobs};
use smolvlm_processor::VideoNote;
use std::time::Duration;

/// A finished answer with its metadata.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Generation {
    /// The decoded text, unmodified. Models generate the space after `Assistant:` themselves, so it usually starts with
    /// one.
    pub text: String,
    /// The generated tokens, including the end token if there is one.
    pub token_ids: Vec<u32>,
    /// Number of prompt tokens, including image tokens, excluding padding.
    pub prompt_tokens: usize,
    /// Number of prompt tokens that stand for images and frames.
    pub image_tokens: usize,
    /// Number of prompt tokens whose keys and values were kept from an earlier request with the same start.
    pub cached_tokens: usize,
    /// Why generation stopped.
    pub finish_reason: FinishReason,
    /// Log-probabilities of each generated token, if requested by
    /// [`SamplingParams::logprobs`](crate::SamplingParams::logprobs).
    pub logprobs: Vec<TokenLogprobs>,
    /// The score of the sequence in a beam search.
    pub score: Option<f32>,
    /// Warnings about images and videos that were used nevertheless, such as a truncated video; serialized as messages.
    #[serde(serialize_with = "messages")]
    pub notes: Vec<VideoNote>,
    /// Time per stage of the request. Several texts for one prompt are one request and have the same times.
    pub timings: Timings,
}

impl Generation {
    /// The answer without the leading space that models generate.
    pub fn text(&self) -> &str {
        self.text.trim_start()
    }
}

/// Wall-clock time of each stage of a request; serialized in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Timings {
    /// Reading and decoding of media, tiling, prompt expansion and tokenization.
    #[serde(serialize_with = "seconds")]
    pub process: Duration,
    /// Vision encoder and connector, all tiles.
    #[serde(serialize_with = "seconds")]
    pub vision: Duration,
    /// Prefill of the text model, up to the first token.
    #[serde(serialize_with = "seconds")]
    pub prefill: Duration,
    /// All tokens after the first.
    #[serde(serialize_with = "seconds")]
    pub decode: Duration,
    /// Number of decode steps in `decode`. A step generates one token of each text of the request, those that a
    /// constraint forces after it, and those that were drafted and confirmed, see
    /// [`PromptLookup`](crate::generate::PromptLookup).
    pub decode_steps: usize,
    /// Number of tokens generated in `decode`, of the longest text.
    pub decode_tokens: usize,
    /// Number of drafted and confirmed tokens of all texts.
    pub accepted_drafts: usize,
}

impl Timings {
    /// Time to first token.
    pub fn first_token(&self) -> Duration {
        self.process + self.vision + self.prefill
    }

    /// Total time of the request.
    pub fn total(&self) -> Duration {
        self.first_token() + self.decode
    }

    /// Decoded tokens per second and text; none if only one token was generated.
    pub fn decode_rate(&self) -> Option<f64> {
        let seconds = self.decode.as_secs_f64();
        (self.decode_tokens > 0 && seconds > 0.0).then(|| self.decode_tokens as f64 / seconds)
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

pub(crate) fn messages<S: Serializer>(notes: &[VideoNote], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.iter().map(VideoNote::to_string))
}
