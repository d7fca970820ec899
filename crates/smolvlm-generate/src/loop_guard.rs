//! Texts that repeat themselves without end.

use std::collections::VecDeque;

/// When a text counts as one that repeats itself without end: its last tokens are one run of at most `max_period`
/// tokens over and over.
///
/// Small models fall into such loops, mostly with greedy decoding. The reference has no such rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopGuard {
    /// Longest run, in tokens. At least 1.
    pub max_period: usize,
    /// How often the run must be there. At least 2.
    pub min_repeats: usize,
    /// How many tokens all repeats must have together.
    pub min_tokens: usize,
}

impl Default for LoopGuard {
    /// Runs of up to 128 tokens, there 4 times, 128 tokens together: a table border, a dotted line or a list of like
    /// items stays below it.
    fn default() -> Self {
        Self { max_period: 128, min_repeats: 4, min_tokens: 128 }
    }
}

/// Watches the tokens of one text.
#[derive(Debug, Clone)]
pub(crate) struct LoopWatch {
    guard: LoopGuard,
    /// The last tokens, the newest first, at most `max_period` of them.
    recent: VecDeque<u32>,
    /// For every period from 1, how many of the last tokens equal the one a period before them.
    equal: Vec<usize>,
}

impl LoopWatch {
    pub(crate) fn new(guard: LoopGuard) -> Self {
        Self { guard, recent: VecDeque::new(), equal: Vec::new() }
    }

    /// Takes the next token in; says whether the text ends in a loop now.
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

    /// The number of tokens after which the text counts as a loop.
    fn looped_after(guard: LoopGuard, tokens: impl IntoIterator<Item = u32>) -> Option<usize> {
        let mut watch = LoopWatch::new(guard);
        tokens.into_iter().position(|token| watch.observe(token)).map(|place| place + 1)
    }

    fn guard(max_period: usize, min_repeats: usize, min_tokens: usize) -> LoopGuard {
        LoopGuard { max_period, min_repeats, min_tokens }
    }

    #[test]
    fn a_run_is_seen_at_its_last_needed_token() {
        assert_eq!(looped_after(guard(4, 3, 0), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]), Some(9));
        assert_eq!(looped_after(guard(4, 3, 11), [1, 2, 3].repeat(9)), Some(11));
        assert_eq!(looped_after(guard(1, 5, 0), [7; 9]), Some(5));
        assert_eq!(looped_after(guard(4, 3, 0), [9, 8, 5, 5, 5, 5]), Some(5));
    }

    #[test]
    fn longer_runs_and_fewer_repeats_pass() {
        assert_eq!(looped_after(guard(3, 2, 0), [1, 2, 3, 4].repeat(9)), None);
        assert_eq!(looped_after(guard(4, 4, 0), [1, 2, 3, 4].repeat(3)), None);
    }

    #[test]
    fn a_broken_run_starts_anew() {
        assert_eq!(looped_after(guard(2, 3, 0), [1, 2, 1, 2, 1, 9, 1, 2, 1, 2, 1, 2]), Some(12));
    }

    #[test]
    fn the_fast_rule_is_the_plain_one() {
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
    fn the_default_passes_honest_repetition() {
        let guard = LoopGuard::default();
        assert_eq!(looped_after(guard, [5; 100]), None, "dots");
        assert_eq!(looped_after(guard, [1, 2, 2].repeat(40)), None, "table border");
        let list = (0..50).flat_map(|item| [10, 11, 1000 + item, 12, 13]);
        assert_eq!(looped_after(guard, list), None, "numbered list");
        assert_eq!(looped_after(guard, [5; 1000]), Some(128));
        assert_eq!(looped_after(guard, (0..100).cycle().take(1000)), Some(400));
    }

    #[test]
    fn memory_is_bounded() {
        let mut watch = LoopWatch::new(guard(3, 2, usize::MAX));
        assert!((0..100).all(|token| !watch.observe(token % 7)));
        assert_eq!((watch.recent.len(), watch.equal.len()), (3, 3));
    }
}
