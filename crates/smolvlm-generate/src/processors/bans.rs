//! Processors that mask tokens.

use super::{LogitsProcessor, Text, ban};

/// Masks tokens that would complete an n-gram of `size` tokens that already occurs in the sequence.
#[derive(Debug)]
pub(super) struct RepeatedNgrams {
    pub(super) size: usize,
}

impl LogitsProcessor for RepeatedNgrams {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        let Some(prefix) = (text.ids.len() + 1).checked_sub(self.size).and_then(|start| text.ids.get(start..)) else {
            return;
        };
        for ngram in text.ids.windows(self.size) {
            if let Some((&last, start)) = ngram.split_last()
                && start == prefix
            {
                ban(scores, last);
            }
        }
    }
}

/// Masks the last token of a banned sequence if the tokens before it were just generated.
#[derive(Debug)]
pub(super) struct BadWords {
    runs: Vec<Vec<u32>>,
}

impl BadWords {
    /// Entries that are a single end token are ignored.
    pub(super) fn new(runs: &[Vec<u32>], eos: &[u32]) -> Self {
        let is_eos = |run: &[u32]| matches!(run, [token] if eos.contains(token));
        Self { runs: runs.iter().filter(|run| !is_eos(run)).cloned().collect() }
    }
}

impl LogitsProcessor for BadWords {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        for run in &self.runs {
            if let Some((&last, prefix)) = run.split_last()
                && text.ids.ends_with(prefix)
            {
                ban(scores, last);
            }
        }
    }
}

/// Masks tokens at all positions.
#[derive(Debug)]
pub(super) struct Suppressed {
    pub(super) tokens: Vec<u32>,
}

impl LogitsProcessor for Suppressed {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        for &token in &self.tokens {
            ban(scores, token);
        }
    }
}

/// Masks tokens at the first position, or at the second if a forced token takes the first.
#[derive(Debug)]
pub(super) struct SuppressedFirst {
    pub(super) tokens: Vec<u32>,
    /// Whether a token is forced after a prompt of one token.
    pub(super) after_bos: bool,
}

impl LogitsProcessor for SuppressedFirst {
    fn apply(&mut self, text: Text<'_>, scores: &mut [f32]) {
        let forced = usize::from(self.after_bos && text.prompt_len <= 1);
        if text.ids.len() == text.prompt_len + forced {
            for &token in &self.tokens {
                ban(scores, token);
            }
        }
    }
}
