//! When a text ends.

use crate::SamplingParams;
use std::fmt;

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model wrote an end token.
    Eos,
    /// The text has as many tokens as were asked for.
    Length,
    /// Prompt and text together fill the model's context.
    Context,
}

impl FinishReason {
    /// One lower-case word: `eos`, `length` or `context`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Length => "length",
            Self::Context => "context",
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counts the tokens of one text and says when it ends.
#[derive(Debug, Clone)]
pub struct StopRule {
    eos_token_ids: Vec<u32>,
    /// Tokens until the text ends, and what it ends of.
    left: usize,
    at_end: FinishReason,
}

impl StopRule {
    /// The rule for a text that `params` ask for, where `room` is the number of tokens that the model's context still
    /// holds behind the prompt.
    ///
    /// The end token counts: a text of `max_new_tokens` tokens may end in one.
    pub fn new(params: &SamplingParams, room: usize) -> Self {
        let at_end = if room < params.max_new_tokens { FinishReason::Context } else { FinishReason::Length };
        Self { eos_token_ids: params.eos_token_ids.clone(), left: room.min(params.max_new_tokens), at_end }
    }

    /// Takes the next token in; says whether the text ends with it and why. An end token comes before the length.
    pub fn observe(&mut self, token: u32) -> Option<FinishReason> {
        self.left = self.left.saturating_sub(1);
        if self.eos_token_ids.contains(&token) {
            Some(FinishReason::Eos)
        } else if self.left == 0 {
            Some(self.at_end)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(max_new_tokens: usize, room: usize) -> StopRule {
        StopRule::new(&SamplingParams::greedy().max_new_tokens(max_new_tokens).eos_token_ids([2, 9]), room)
    }

    #[test]
    fn any_end_token_ends_the_text() {
        for eos in [2, 9] {
            let mut rule = rule(10, 10);
            assert_eq!(rule.observe(1), None);
            assert_eq!(rule.observe(eos), Some(FinishReason::Eos));
        }
    }

    #[test]
    fn the_length_ends_the_text_exactly() {
        let mut rule = rule(3, 100);
        assert_eq!([7, 7, 7].map(|token| rule.observe(token)), [None, None, Some(FinishReason::Length)]);
    }

    #[test]
    fn a_full_context_has_its_own_reason() {
        let mut shorter = rule(3, 2);
        assert_eq!([7, 7].map(|token| shorter.observe(token)), [None, Some(FinishReason::Context)]);
        let mut equal = rule(2, 2);
        assert_eq!([7, 7].map(|token| equal.observe(token)), [None, Some(FinishReason::Length)]);
    }

    #[test]
    fn an_end_token_at_the_last_place_is_an_end_token() {
        let mut rule = rule(1, 1);
        assert_eq!(rule.observe(9), Some(FinishReason::Eos));
    }

    #[test]
    fn without_end_tokens_only_the_length_counts() {
        let mut rule = StopRule::new(&SamplingParams::greedy().max_new_tokens(2), 5);
        assert_eq!([2, 9].map(|token| rule.observe(token)), [None, Some(FinishReason::Length)]);
    }

    #[test]
    fn reasons_have_names() {
        let reasons = [FinishReason::Eos, FinishReason::Length, FinishReason::Context];
        assert_eq!(reasons.map(|reason| reason.to_string()), ["eos", "length", "context"]);
    }
}
