//! Processors that depend on the sequence length.

use super::{LogitsProcessor, Text, ban, force};
use crate::SamplingParams;

/// Masks end tokens until the minimum length is reached.
#[derive(Debug)]
pub(super) struct Minimum {
    min_length: usize,
    min_new_tokens: usize,
    eos: Vec<u32>,
}

impl Minimum {
    pub(super) fn new(params: &SamplingParams) -> Self {
        let &SamplingParams { min_length, min_new_tokens, .. } = params;
        Self { min_length, min_new_tokens, eos: params.eos_token_ids.clone() }
    }
}

impl LogitsProcessor for Minimum {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        let minimum = match self.min_new_tokens {
            0 => self.min_length,
            new => text.prompt_len.saturating_add(new),
        };
        if text.ids.len() < minimum {
            for &token in &self.eos {
                ban(scores, token);
            }
        }
    }
}

/// Allows only one token after a prompt of one token.
#[derive(Debug)]
pub(super) struct ForcedBos {
    pub(super) token: u32,
}

impl LogitsProcessor for ForcedBos {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        if text.ids.len() == 1 {
            force(scores, &[self.token]);
        }
    }
}

/// Allows only end tokens at the last position.
#[derive(Debug)]
pub(super) struct ForcedEos {
    /// Used only for the maximum length.
    params: SamplingParams,
    tokens: Vec<u32>,
}

impl ForcedEos {
    pub(super) fn new(params: &SamplingParams) -> Self {
        Self { params: params.clone(), tokens: params.forced_eos_token_ids.clone() }
    }
}

impl LogitsProcessor for ForcedEos {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        let limit = self.params.limit(text.prompt_len);
        if limit.is_ok_and(|limit| text.ids.len() + 1 == text.prompt_len.saturating_add(limit)) {
            force(scores, &self.tokens);
        }
    }
}
