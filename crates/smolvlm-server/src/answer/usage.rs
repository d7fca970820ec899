//! Counts and times of an answer.

use crate::backend::Outcome;
use serde_json::{Value, json};
use smolvlm::FinishReason;
use std::time::Duration;

/// OpenAI's name of a finish reason. An answer that was ended by anything but the model, a stop string or
/// its constraint is incomplete.
pub(crate) fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Eos | FinishReason::StopString | FinishReason::Complete => "stop",
        _ => "length",
    }
}

/// Sums over the answers to one request.
#[derive(Debug, Default, Clone)]
pub(crate) struct Totals {
    prompt_tokens: usize,
    cached_tokens: usize,
    image_tokens: usize,
    completion_tokens: usize,
    prompt_time: Duration,
    decode_time: Duration,
    pub(crate) duration: Duration,
}

impl Totals {
    /// Adds an answer. A prompt counts with its first answer only.
    pub(crate) fn add(&mut self, outcome: &Outcome, is_first: bool) {
        if is_first {
            self.prompt_tokens += outcome.prompt_tokens;
            self.image_tokens += outcome.image_tokens;
            self.cached_tokens += outcome.cached_tokens;
        }
        self.completion_tokens += outcome.tokens;
        self.prompt_time += outcome.timings.first_token();
        self.decode_time += outcome.timings.decode;
        self.duration += outcome.timings.total();
    }

    pub(crate) fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    pub(crate) fn completion_tokens(&self) -> usize {
        self.completion_tokens
    }

    pub(crate) fn prompt_time(&self) -> Duration {
        self.prompt_time
    }

    pub(crate) fn decode_time(&self) -> Duration {
        self.decode_time
    }

    /// OpenAI's `usage`.
    pub(crate) fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "image_tokens": self.image_tokens,
                "text_tokens": self.prompt_tokens.saturating_sub(self.image_tokens),
            },
        })
    }

    /// The `timings` of llama.cpp's server, in milliseconds.
    pub(crate) fn timings(&self) -> Value {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let rate = |count: usize, time: Duration| {
            let seconds = time.as_secs_f64();
            if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
        };
        let prompt = self.prompt_tokens.saturating_sub(self.cached_tokens);
        json!({
            "cache_n": self.cached_tokens,
            "prompt_n": prompt,
            "prompt_ms": ms(self.prompt_time),
            "prompt_per_second": rate(prompt, self.prompt_time),
            "predicted_n": self.completion_tokens,
            "predicted_ms": ms(self.decode_time),
            "predicted_per_second": rate(self.completion_tokens, self.decode_time),
        })
    }
}
