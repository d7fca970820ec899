//! Detection of endless repetition.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Criterion for endless repetition: the last tokens are a sequence of at most `max_period` tokens, repeated.
///
/// Small models tend to fall into such loops, mostly with greedy decoding. The reference has no such rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopGuard {
    /// Maximum length of the repeated sequence in tokens. At least 1.
    pub max_period: usize,
    /// Minimum number of repeats. At least 2.
    pub min_repeats: usize,
    /// Minimum number of tokens of all repeats together.
    pub min_tokens: usize,
}

impl Default for LoopGuard {
    /// Sequences of up to 128 tokens, repeated 4 times, with a total of at least 128 tokens: table borders, dotted
    /// lines and lists of similar items stay below the threshold.
    fn default() -> Self {
        Self { max_period: 128, min_repeats: 4, min_tokens: 128 }
    }
}

/// Checks the tokens of one sequence for endless repetition.
#[derive(Debug, Clone)]
pub(crate) struct LoopDetector {
    guard: LoopGuard,
    /// The last tokens, newest first, at most `max_period` of them.
    recent: VecDeque<u32>,
    /// For each period from 1, how many of the last tokens equal the token one period earlier.
    equal: Vec<usize>,
}

impl LoopDetector {
    pub(crate) fn new(guard: LoopGuard) -> Self {
        Self { guard, recent: VecDeque::new(), equal: Vec::new() }
    }

    /// Adds the next token; returns whether the sequence ends in a loop.
    pub(crate) fn observe(&mut self, token: u32) -> bool {
        let mut looping = false;
        for (index, (&earlier, equal)) in self.recent.iter().zip(&mut self.equal).enumerate() {
            let period = index + 1;
            *equal = if earlier == token { *equal + 1 } else { 0 };
            let needed = period.saturating_mul(self.guard.min_repeats).max(self.guard.min_tokens);
            looping |= *equal > 0 && *equal + period >= needed;
        }
        self.recent.push_front(token);
        if self.recent.len() > self.guard.max_period {
            self.recent.pop_back();
        } else {
            self.equal.push(0);
        }
        looping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of tokens after which a loop is detected.
    fn looped_after(guard: LoopGuard, tokens: impl IntoIterator<Item = u32>) -> Option<usize> {
        let mut watch = LoopDetector::new(guard);
        tokens.into_iter().position(|token| watch.observe(token)).map(|index| index + 1)
    }

    fn guard(max_period: usize, min_repeats: usize, min_tokens: usize) -> LoopGuard {
        LoopGuard { max_period, min_repeats, min_tokens }
    }

    #[test]
    fn repetition_is_detected_at_the_threshold() {
        assert_eq!(looped_after(guard(4, 3, 0), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]), Some(9));
        assert_eq!(looped_after(guard(4, 3, 11), [1, 2, 3].repeat(9)), Some(11));
        assert_eq!(looped_after(guard(1, 5, 0), [7; 9]), Some(5));
        assert_eq!(looped_after(guard(4, 3, 0), [9, 8, 5, 5, 5, 5]), Some(5));
    }

    #[test]
    fn longer_periods_and_fewer_repeats_are_accepted() {
        assert_eq!(looped_after(guard(3, 2, 0), [1, 2, 3, 4].repeat(9)), None);
        assert_eq!(looped_after(guard(4, 4, 0), [1, 2, 3, 4].repeat(3)), None);
    }

    #[test]
    fn interrupted_repetition_restarts_the_count() {
        assert_eq!(looped_after(guard(2, 3, 0), [1, 2, 1, 2, 1, 9, 1, 2, 1, 2, 1, 2]), Some(12));
    }

    #[test]
    fn incremental_detection_matches_the_definition() {
        let mut state = 1_u64;
        for _ in 0..300 {
            let mut next = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % below
            };
            let guard = guard(1 + next(5) as usize, 2 + next(3) as usize, next(14) as usize);
            let tokens: Vec<u32> = (0..60).map(|_| next(2) as u32).collect();
            let plain = (1..=tokens.len()).find(|&len| {
                (1..=guard.max_period).any(|period| {
                    let needed = (period * guard.min_repeats).max(guard.min_tokens).max(period + 1);
                    len >= needed && (len - needed + period..len).all(|at| tokens[at] == tokens[at - period])
                })
            });
            assert_eq!(looped_after(guard, tokens.iter().copied()), plain, "{guard:?} {tokens:?}");
        }
    }

    #[test]
    fn default_accepts_tables_and_lists() {
        let guard = LoopGuard::default();
        assert_eq!(looped_after(guard, [5; 100]), None, "dots");
        assert_eq!(looped_after(guard, [1, 2, 2].repeat(40)), None, "table border");
        let list = (0..50).flat_map(|item| [10, 11, 1000 + item, 12, 13]);
        assert_eq!(looped_after(guard, list), None, "numbered list");
        assert_eq!(looped_after(guard, [5; 1000]), Some(128));
        assert_eq!(looped_after(guard, (0..100).cycle().take(1000)), Some(400));
    }

    #[test]
    fn window_size_is_bounded() {
        let mut watch = LoopDetector::new(guard(3, 2, usize::MAX));
        assert!((0..100).all(|token| !watch.observe(token % 7)));
        assert_eq!((watch.recent.len(), watch.equal.len()), (3, 3));
    }
}
