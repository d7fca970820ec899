//! Stopping criteria.

use crate::{SamplingParams, loop_guard::LoopDetector};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Reason why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model generated an end token.
    Eos,
    /// The maximum number of tokens was reached.
    Length,
    /// Prompt and generated text fill the model's context.
    Context,
    /// A stop string appeared.
    StopString,
    /// The text matches its constraint, which allows nothing after it.
    Complete,
    /// Endless repetition was detected.
    Repetition,
    /// The time limit was reached.
    Time,
    /// The caller cancelled generation.
    Cancelled,
}

impl FinishReason {
    /// The name in snake case: `eos`, `length`, `context`, `stop_string`, `complete`, `repetition`, `time` or
    /// `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Length => "length",
            Self::Context => "context",
            Self::StopString => "stop_string",
            Self::Complete => "complete",
            Self::Repetition => "repetition",
            Self::Time => "time",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Counts the tokens of one sequence and checks the stopping criteria.
#[derive(Debug, Clone)]
pub struct StopRule {
    eos_token_ids: Vec<u32>,
    /// Number of tokens left until the sequence ends, and the reason for that limit.
    left: usize,
    at_end: FinishReason,
    watch: Option<LoopDetector>,
}

impl StopRule {
    /// The stopping criteria of `params` after a prompt of `prompt_len` tokens, where `room` is the number of tokens
    /// left in the model's context after the prompt.
    ///
    /// The end token is included in `max_new_tokens`. If [`limit`](SamplingParams::limit) is an error, the sequence
    /// ends with its first token.
    pub fn new(params: &SamplingParams, prompt_len: usize, room: usize) -> Self {
        let limit = params.limit(prompt_len).unwrap_or(0);
        let at_end = if room < limit { FinishReason::Context } else { FinishReason::Length };
        Self {
            eos_token_ids: params.eos_token_ids.clone(),
            left: room.min(limit),
            at_end,
            watch: params.loop_guard.map(LoopDetector::new),
        }
    }

    /// Number of tokens left until the sequence ends.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Adds the next token; returns the finish reason if the sequence ends with it. An end token takes precedence over
    /// the length, the length over a repetition.
    pub fn observe(&mut self, token: u32) -> Option<FinishReason> {
        self.left = self.left.saturating_sub(1);
        let looping = self.watch.as_mut().is_some_and(|watch| watch.observe(token));
        if self.eos_token_ids.contains(&token) {
            Some(FinishReason::Eos)
        } else if self.left == 0 {
            Some(self.at_end)
        } else {
            looping.then_some(FinishReason::Repetition)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoopGuard;

    fn rule(max_new_tokens: usize, room: usize) -> StopRule {
        StopRule::new(&SamplingParams::greedy().max_new_tokens(max_new_tokens).eos_token_ids([2, 9]), 100, room)
    }

    #[test]
    fn any_end_token_stops() {
        for eos in [2, 9] {
            let mut rule = rule(10, 10);
            assert_eq!(rule.observe(1), None);
            assert_eq!(rule.observe(eos), Some(FinishReason::Eos));
        }
    }

    #[test]
    fn maximum_length_is_exact() {
        let mut rule = rule(3, 100);
        assert_eq!([7, 7, 7].map(|token| rule.observe(token)), [None, None, Some(FinishReason::Length)]);
    }

    #[test]
    fn full_context_has_its_own_reason() {
        let mut shorter = rule(3, 2);
        assert_eq!([7, 7].map(|token| shorter.observe(token)), [None, Some(FinishReason::Context)]);
        let mut equal = rule(2, 2);
        assert_eq!([7, 7].map(|token| equal.observe(token)), [None, Some(FinishReason::Length)]);
    }

    #[test]
    fn end_token_at_the_last_position_is_reported_as_eos() {
        let mut rule = rule(1, 1);
        assert_eq!(rule.observe(9), Some(FinishReason::Eos));
    }

    #[test]
    fn without_end_tokens_only_the_length_stops() {
        let mut rule = StopRule::new(&SamplingParams::greedy().max_new_tokens(2), 100, 5);
        assert_eq!([2, 9].map(|token| rule.observe(token)), [None, Some(FinishReason::Length)]);
    }

    #[test]
    fn max_length_includes_the_prompt() {
        let params = SamplingParams::greedy().max_length(102);
        let mut rule = StopRule::new(&params, 100, 9);
        assert_eq!([7, 7].map(|token| rule.observe(token)), [None, Some(FinishReason::Length)]);
        let mut rule = StopRule::new(&params, 100, 1);
        assert_eq!(rule.observe(7), Some(FinishReason::Context));
        let mut full = StopRule::new(&params, 102, 9);
        assert_eq!(full.observe(7), Some(FinishReason::Length));
    }

    #[test]
    fn repetition_is_reported_if_nothing_else_stops() {
        let guard = LoopGuard { max_period: 2, min_repeats: 2, min_tokens: 0 };
        let params = SamplingParams::greedy().max_new_tokens(4).eos_token_ids([2]).loop_guard(guard);
        let observed = |tokens: [u32; 4]| {
            let mut rule = StopRule::new(&params, 1, 9);
            tokens.map(|token| rule.observe(token))
        };
        assert_eq!(observed([7, 7, 3, 4])[..2], [None, Some(FinishReason::Repetition)]);
        assert_eq!(observed([7, 8, 7, 8]), [None, None, None, Some(FinishReason::Length)]);
        assert_eq!(observed([2, 2, 3, 4])[..2], [Some(FinishReason::Eos), Some(FinishReason::Eos)]);
    }

    #[test]
    fn finish_reasons_have_names() {
        use FinishReason::{Cancelled, Complete, Context, Eos, Length, Repetition, StopString, Time};
        let reasons = [Eos, Length, Context, StopString, Complete, Repetition, Time, Cancelled];
        let names = reasons.map(|reason| reason.to_string());
        assert_eq!(names, ["eos", "length", "context", "stop_string", "complete", "repetition", "time", "cancelled"]);
    }
}
