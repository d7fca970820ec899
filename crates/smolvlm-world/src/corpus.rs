//! Text to make a vocabulary from.

use crate::kind::Kind;
use crate::sample::{USUAL, talk};
use crate::split::Split;

/// The questions and answers of the first `lessons` lessons of [`Split::Train`], one text each, without drawing any
/// picture. Printed words are left out, which are random and would only teach a tokenizer letters' chance company.
pub fn vocabulary_corpus(lessons: u64) -> impl Iterator<Item = String> {
    (0..lessons).flat_map(|index| talk(Split::Train, index, USUAL).1).flat_map(|turn| {
        let answer = (turn.kind != Kind::Read).then_some(turn.answer);
        [Some(turn.question), answer].into_iter().flatten()
    })
}
