//! Tokens that are ruled out.

use super::{LogitsProcessor, Text, ban};

/// Rules out tokens that would complete a run of `size` tokens which the prompt or the text already has.
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

/// Rules out the last token of a run when the text ends with the tokens before it.
#[derive(Debug)]
pub(super) struct BadWords {
    runs: Vec<Vec<u32>>,
}

impl BadWords {
    /// A single end token cannot be ruled out.
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

/// Rules tokens out everywhere.
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

/// Rules tokens out at the first place, or at the second if a forced token takes the first.
#[derive(Debug)]
pub(super) struct SuppressedFirst {
    pub(super) tokens: Vec<u32>,
    /// Whether there is a token that is forced behind a prompt of one token.
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
