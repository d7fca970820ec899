//! When a text is complete.

use crate::SamplingParams;
use std::fmt;

/// Why a text is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model chose an end token.
    Eos,
    /// The text is as long as it may be.
    Length,
}

impl FinishReason {
    /// `eos` or `length`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Length => "length",
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Watches the tokens of one text and says when it is complete.
#[derive(Debug, Clone)]
pub struct StopRule {
    eos_token_ids: Vec<u32>,
    left: usize,
}

impl StopRule {
    /// The rule of these parameters, for a text that has no tokens yet.
    pub fn new(params: &SamplingParams) -> Self {
        Self { eos_token_ids: params.eos_token_ids.clone(), left: params.max_new_tokens }
    }

    /// Takes the next token in; gives the reason if it completes the text. An end token counts even when it is the last
    /// one that fits.
    pub fn observe(&mut self, token: u32) -> Option<FinishReason> {
        self.left = self.left.saturating_sub(1);
        if self.eos_token_ids.contains(&token) {
            Some(FinishReason::Eos)
        } else {
            (self.left == 0).then_some(FinishReason::Length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FinishReason, StopRule};
    use crate::SamplingParams;

    #[test]
    fn an_end_token_or_the_length() {
        let params = SamplingParams::greedy().max_new_tokens(3).eos_token_ids([5, 9]);
        let reasons = |tokens: &[u32]| -> Vec<Option<FinishReason>> {
            let mut rule = StopRule::new(&params);
            tokens.iter().map(|&token| rule.observe(token)).collect()
        };
        assert_eq!(reasons(&[1, 2, 3]), [None, None, Some(FinishReason::Length)]);
        assert_eq!(reasons(&[1, 9]), [None, Some(FinishReason::Eos)]);
        assert_eq!(reasons(&[1, 2, 5]), [None, None, Some(FinishReason::Eos)]);
    }
}
