//! What is taught first, and what then.

use smolvlm_world::{Kind, Sample, Split, close_lines, close_up, drill, few_characters, lesson_about};
use smolvlm_world::{lone_shape, long_lesson, page};

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
    /// One tile a still again: a few characters, small and large, words in close-ups, and some of all that is known. Whole pages
    /// alone teach how long words are, not how letters look.
    Letters,
    /// As far, with even more to read, and drills of what is still hard.
    Review,
    /// One tile a still: many words in lines. A picture costs the same with one word in it as with ten.
    Lines,
    /// As far: a third is many words in lines that cross the borders of tiles, the rest drills.
    Pages,
}

/// Lessons until which every other one is about a single shape.
const FIRST_SIGHT: u64 = 50_000;

/// Lessons of [`Stage::Letters`] until which half are about a few characters.
const FIRST_LETTERS: u64 = 208_000;

/// Most questions of a lesson.
const QUESTIONS: usize = 12;

/// What lessons are about, and how often in turn.
type Syllabus = [(Kind, usize)];

/// Lessons of [`Stage::Far`]: more of what is hard, which is reading and telling which way things move.
const FAR: &Syllabus = &[
    (Kind::Read, 5),
    (Kind::Describe, 5),
    (Kind::Motion, 3),
    (Kind::Difference, 2),
    (Kind::Chart, 2),
    (Kind::Change, 1),
    (Kind::Appear, 1),
    (Kind::Text, 1),
];

/// Lessons of [`Stage::Review`].
const REVIEW: &Syllabus = &[
    (Kind::Read, 13),
    (Kind::Describe, 3),
    (Kind::Place, 4),
    (Kind::Color, 2),
    (Kind::Count, 2),
    (Kind::Relation, 2),
    (Kind::Chart, 4),
    (Kind::Difference, 3),
    (Kind::Motion, 3),
    (Kind::Change, 2),
    (Kind::Appear, 1),
    (Kind::Text, 1),
];

/// Lessons of [`Stage::Pages`] that are not about lines of text: more of what was right least often.
const PAGES: &Syllabus = &[
    (Kind::Read, 9),
    (Kind::Describe, 4),
    (Kind::Place, 3),
    (Kind::Color, 2),
    (Kind::Count, 3),
    (Kind::Relation, 3),
    (Kind::Chart, 4),
    (Kind::Difference, 5),
    (Kind::Motion, 3),
    (Kind::Change, 4),
    (Kind::Appear, 1),
    (Kind::Text, 1),
];

/// The first lesson of a stage that comes back to what an earlier one taught: none is seen again.
const ANEW: u64 = 1 << 32;

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Words, Self::Near, Self::Far, Self::Letters, Self::Review, Self::Lines, Self::Pages];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Near => "near",
            Self::Far => "far",
            Self::Letters => "letters",
            Self::Review => "review",
            Self::Lines => "lines",
            Self::Pages => "pages",
        }
    }

    /// Parameters that stay as they are.
    pub fn frozen(self) -> Vec<String> {
        let all = ["model.vision_model.*", "model.connector.*"];
        if self == Self::Words { all.map(str::to_owned).to_vec() } else { Vec::new() }
    }

    /// Whether stills become several tiles.
    pub fn splits(self) -> bool {
        matches!(self, Self::Far | Self::Review | Self::Pages)
    }

    /// A lesson, the same for the same arguments.
    pub fn lesson(self, split: Split, index: u64) -> Sample {
        match self {
            Self::Words | Self::Near => match index % 6 {
                0..3 if index < FIRST_SIGHT => lone_shape(split, index),
                3 | 5 => close_up(split, index),
                _ => far_sighted(split, index),
            },
            Self::Far => lesson_about(turn(FAR, index), split, index, QUESTIONS),
            Self::Letters => match index % 6 {
                0 => far_sighted(split, ANEW + index),
                1 => few_characters(split, index),
                2 | 3 if index < FIRST_LETTERS => few_characters(split, index),
                _ => close_up(split, ANEW + index),
            },
            Self::Review => drill(turn(REVIEW, index), split, index, QUESTIONS),
            Self::Lines => match index % 6 {
                0 => far_sighted(split, 2 * ANEW + index),
                1 => few_characters(split, ANEW + index),
                2 => close_up(split, 2 * ANEW + index),
                _ => close_lines(split, index),
            },
            Self::Pages if index.is_multiple_of(3) => page(split, index),
            Self::Pages => drill(turn(PAGES, index), split, ANEW + index, QUESTIONS),
        }
    }
}

/// What a lesson of a number is about.
fn turn(syllabus: &Syllabus, index: u64) -> Kind {
    let turns: Vec<Kind> = syllabus.iter().flat_map(|&(kind, times)| std::iter::repeat_n(kind, times)).collect();
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
