//! Processors that mask unlikely tokens before sampling. At least one token always remains.
//!
//! A token with a NaN score has no probability; the reference cannot sample from such a row.

use super::{LogitsProcessor, Text};
use crate::params::to_f64_decimal;
use crate::ranking::{Ranked, largest, visit_in_order};
use crate::softmax::Softmax;

/// Number of most likely tokens considered by top-h.
const TOP_H_CANDIDATES: usize = 100;

/// Keeps the `count` most likely tokens, and those tied with the last of them.
#[derive(Debug)]
pub(super) struct TopK {
    pub(super) count: usize,
}

impl LogitsProcessor for TopK {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        if self.count < scores.len()
            && let Some(last) = largest(scores.iter().copied(), self.count).last()
        {
            ban_where(scores, |score| score < last.score);
        }
    }
}

/// Keeps the smallest set of most likely tokens with a cumulative probability of at least `p`, on ties the later ones,
/// but at least `keep` tokens.
#[derive(Debug)]
pub(super) struct TopP {
    /// Maximum probability of all other tokens together.
    others: f32,
    keep: usize,
}

impl TopP {
    pub(super) fn new(p: f32, keep: usize) -> Self {
        Self { others: (1.0 - to_f64_decimal(p)) as f32, keep }
    }
}

impl LogitsProcessor for TopP {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        let softmax = Softmax::of(scores.iter().copied());
        let mut tokens: Vec<Ranked> = candidates(scores).collect();
        // The cumulative probability of this and all less likely tokens: the running sum of the reference, from its
        // other end.
        let mut below: f64 = tokens.iter().map(|token| f64::from(softmax.prob(token.score))).sum();
        let mut kept = 0;
        let descending_then_last = |a: &Ranked, b: &Ranked| b.score.total_cmp(&a.score).then(b.index.cmp(&a.index));
        visit_in_order(&mut tokens, descending_then_last, |token| {
            let stays = kept < self.keep || below as f32 > self.others;
            kept += usize::from(stays);
            below -= f64::from(softmax.prob(token.score));
            stays
        });
        ban_indices(scores, tokens.iter().skip(kept).map(|token| token.index));
    }
}

/// Keeps tokens at least `fraction` times as likely as the most likely one, but at least `keep` tokens.
#[derive(Debug)]
pub(super) struct MinP {
    pub(super) fraction: f32,
    pub(super) keep: usize,
}

impl LogitsProcessor for MinP {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        let softmax = Softmax::of(scores.iter().copied());
        let least = self.fraction * softmax.prob(softmax.max());
        let stay = largest(scores.iter().copied(), self.keep);
        ban_where(scores, |score| softmax.prob(score) < least);
        restore(scores, &stay);
    }
}

/// Keeps the tokens whose information content is closest to the entropy, with a cumulative probability of `mass`.
#[derive(Debug)]
pub(super) struct Typical {
    pub(super) mass: f32,
    pub(super) keep: usize,
}

impl LogitsProcessor for Typical {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        let softmax = Softmax::of(scores.iter().copied());
        let entropy = softmax.entropy(scores.iter().copied());
        let oddity = |token: Ranked| ((-softmax.log_prob(token.score) - entropy).abs(), token);
        let mut tokens: Vec<(f32, Ranked)> = candidates(scores).map(oddity).collect();
        let (mut seen, mut sum, mut oddest) = (0, 0.0, f32::INFINITY);
        visit_in_order(
            &mut tokens,
            |(a, first), (b, second)| a.total_cmp(b).then(first.index.cmp(&second.index)),
            |&(oddity, token)| {
                seen += 1;
                sum += f64::from(softmax.prob(token.score));
                if oddest == f32::INFINITY && sum as f32 >= self.mass {
                    oddest = oddity;
                }
                oddest == f32::INFINITY || seen < self.keep
            },
        );
        let odder = tokens.iter().skip(self.keep).filter(|(oddity, _)| *oddity > oddest);
        ban_indices(scores, odder.map(|(_, token)| token.index));
    }
}

/// Keeps tokens with a probability of at least `cutoff`, and the `keep` most likely ones.
#[derive(Debug)]
pub(super) struct Epsilon {
    pub(super) cutoff: f32,
    pub(super) keep: usize,
}

impl LogitsProcessor for Epsilon {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        let softmax = Softmax::of(scores.iter().copied());
        ban_below(scores, &softmax, self.cutoff, self.keep);
    }
}

/// Keeps tokens with a probability of at least `cutoff`, or less if the entropy is high, and the `keep` most likely
/// ones.
#[derive(Debug)]
pub(super) struct Eta {
    pub(super) cutoff: f32,
    pub(super) keep: usize,
}

impl LogitsProcessor for Eta {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        let softmax = Softmax::of(scores.iter().copied());
        let entropy = softmax.entropy(scores.iter().copied());
        let least = self.cutoff.min(self.cutoff.sqrt() * (-entropy).exp());
        ban_below(scores, &softmax, least, self.keep);
    }
}

/// Keeps the most likely tokens that together have at most `fraction` of the entropy, considering only the best 100.
#[derive(Debug)]
pub(super) struct TopH {
    pub(super) fraction: f32,
}

impl LogitsProcessor for TopH {
    fn apply(&mut self, _: Text<'_>, scores: &mut [f32]) {
        let best = largest(scores.iter().copied(), TOP_H_CANDIDATES);
        let row = || best.iter().map(|token| token.score);
        let softmax = Softmax::of(row());
        let most = softmax.entropy(row()) * self.fraction;
        let mut sum = 0.0;
        let kept = best.iter().take_while(|token| {
            let prob = softmax.prob(token.score);
            sum += f64::from(-prob * prob.ln());
            sum as f32 <= most
        });
        let kept = kept.count().max(1);
        scores.fill(f32::NEG_INFINITY);
        restore(scores, best.iter().take(kept));
    }
}

/// The tokens that are not masked.
fn candidates(scores: &[f32]) -> impl Iterator<Item = Ranked> {
    let all = scores.iter().enumerate().map(|(index, &score)| Ranked { score, index });
    all.filter(|token| token.score > f32::NEG_INFINITY)
}

fn ban_indices(scores: &mut [f32], indices: impl Iterator<Item = usize>) {
    for index in indices {
        if let Some(score) = scores.get_mut(index) {
            *score = f32::NEG_INFINITY;
        }
    }
}

fn ban_where(scores: &mut [f32], out: impl Fn(f32) -> bool) {
    for score in scores {
        if out(*score) {
            *score = f32::NEG_INFINITY;
        }
    }
}

/// Masks tokens less likely than `least`, except the `keep` most likely ones and those tied with the last of them.
fn ban_below(scores: &mut [f32], softmax: &Softmax, least: f32, keep: usize) {
    if let Some(last) = largest(scores.iter().copied(), keep).last() {
        ban_where(scores, |score| softmax.prob(score) < least && score < last.score);
    }
}

fn restore<'a>(scores: &mut [f32], tokens: impl IntoIterator<Item = &'a Ranked>) {
    for token in tokens {
        if let Some(score) = scores.get_mut(token.index) {
            *score = token.score;
        }
    }
}
