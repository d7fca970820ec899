//! What is taught first, and what then.

use smolvlm_world::{Kind, Sample, Split, close_up, lesson, lone_shape};

/// A stage of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// One tile a still, at a third of the cost: shapes in the view of the whole, text in close-ups. Begins with many single
    /// shapes: an answer about one of several says little to a model that cannot see yet.
    Near,
    /// Everything, stills as four tiles and the whole, with more to read.
    Far,
}

/// Lessons until which every other one is about a single shape.
const FIRST_SIGHT: u64 = 50_000;

impl Stage {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
        }
    }

    /// A lesson, the same for the same arguments.
    pub fn lesson(self, split: Split, index: u64) -> Sample {
        match (self, index % 6) {
            (Self::Near, 0..3) if index < FIRST_SIGHT => lone_shape(split, index),
            (Self::Near, 3 | 5) => close_up(split, index),
            (Self::Near, _) => like(split, index, |sample| !reads(sample)),
            (Self::Far, 0 | 3) => like(split, index, reads),
            (Self::Far, _) => lesson(split, index),
        }
    }
}

fn reads(sample: &Sample) -> bool {
    sample.turns.iter().any(|turn| turn.kind == Kind::Read)
}

/// The lesson of a number, or another one instead that is wanted.
fn like(split: Split, index: u64, wanted: impl Fn(&Sample) -> bool) -> Sample {
    const OTHERS: u64 = 1 << 40;
    let mut index = index;
    loop {
        let sample = lesson(split, index);
        if wanted(&sample) {
            return sample;
        }
        index += OTHERS;
    }
}
