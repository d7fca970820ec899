//! Text corpus for training a tokenizer.

use crate::kind::Kind;
use crate::sample::{DEFAULT_MAX_TURNS, undrawn_sample};
use crate::split::Split;

/// The questions and answers of the first `samples` mixed samples of [`Split::Train`], one text each, without drawing
/// images. Excludes the printed words: they are random, and a tokenizer would learn meaningless pairs of letters.
pub fn vocabulary_corpus(samples: u64) -> impl Iterator<Item = String> {
    (0..samples).flat_map(|index| undrawn_sample(Split::Train, index, DEFAULT_MAX_TURNS).1).flat_map(|turn| {
        let answer = (turn.kind != Kind::Read).then_some(turn.answer);
        [Some(turn.question), answer].into_iter().flatten()
    })
}
