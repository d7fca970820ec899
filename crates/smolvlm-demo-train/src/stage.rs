//! What is taught first, and what then.

use smolvlm_world::{Kind, Sample, Split, close_up, lesson_about, lone_shape, long_lesson};

/// A stage of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The text model alone, on what random weights make of the pictures. While it learns what sentences look like it would
    /// otherwise teach the vision encoder to say the same about every picture.
    Words,
    /// One tile a still, at a third of the cost: shapes in the view of the whole, text in close-ups. Begins with many single
    /// shapes: an answer about one of several says little to a model that cannot see yet.
    Near,
    /// Everything, stills as four tiles and the whole, with more to read.
    Far,
}

/// Lessons until which every other one is about a single shape.
const FIRST_SIGHT: u64 = 50_000;

/// Most questions of a lesson.
const QUESTIONS: usize = 12;

/// What lessons of the last stage are about, and how many of 20 are: more of what is hard, which is reading and telling which
/// way things move.
const FAR: [(Kind, usize); 8] = [
    (Kind::Read, 5),
    (Kind::Describe, 5),
    (Kind::Motion, 3),
    (Kind::Difference, 2),
    (Kind::Chart, 2),
    (Kind::Change, 1),
    (Kind::Appear, 1),
    (Kind::Text, 1),
];

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Words, Self::Near, Self::Far];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Near => "near",
            Self::Far => "far",
        }
    }

    /// Parameters that stay as they are.
    pub fn frozen(self) -> Vec<String> {
        let all = ["model.vision_model.*", "model.connector.*"];
        if self == Self::Words { all.map(str::to_owned).to_vec() } else { Vec::new() }
    }

    /// A lesson, the same for the same arguments.
    pub fn lesson(self, split: Split, index: u64) -> Sample {
        match (self, index % 6) {
            (Self::Words | Self::Near, 0..3) if index < FIRST_SIGHT => lone_shape(split, index),
            (Self::Words | Self::Near, 3 | 5) => close_up(split, index),
            (Self::Words | Self::Near, _) => far_sighted(split, index),
            (Self::Far, _) => lesson_about(far_kind(index), split, index, QUESTIONS),
        }
    }
}

/// The kinds of [`FAR`] in turn.
fn far_kind(index: u64) -> Kind {
    let turns: Vec<Kind> = FAR.iter().flat_map(|&(kind, times)| std::iter::repeat_n(kind, times)).collect();
    turns[(index % turns.len() as u64) as usize]
}

/// The lesson of a number, or another one instead that shows no printed text: a whole page is too small in one tile.
fn far_sighted(split: Split, index: u64) -> Sample {
    const OTHERS: u64 = 1 << 40;
    let mut index = index;
    loop {
        let sample = long_lesson(split, index, QUESTIONS);
        if sample.turns.iter().all(|turn| turn.kind != Kind::Read) {
            return sample;
        }
        index += OTHERS;
    }
}
