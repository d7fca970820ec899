//! The training curriculum.

use smolvlm_synth::{Kind, Sample, Split, close_lines, close_up, few_characters, focused_sample, sample_about};
use smolvlm_synth::{long_mixed_sample, page, single_shape};

/// A stage of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Text model only, on the features of a randomly initialized vision encoder. Otherwise the vision encoder would
    /// collapse to the same features for every image while the text model learns the form of sentences.
    Words,
    /// One tile per image, at a third of the cost: shapes in the global view, text in close-ups. Starts with many
    /// single shapes: answers about one of several shapes are a weak signal for an untrained vision encoder.
    Near,
    /// All kinds, images as four tiles and a global view, with more text to read.
    Far,
    /// One tile per image again: a few characters, small and large, words in close-ups, and some of all other kinds.
    /// Full images alone teach the length of words, not the shape of letters.
    Letters,
    /// As [`Far`](Self::Far), with even more text, and samples focused on the hard kinds.
    Review,
    /// One tile per image: lines of many words. An image with ten words costs the same as with one.
    Lines,
    /// As [`Far`](Self::Far): a third are lines of words that cross tile borders, the rest focused samples.
    Pages,
}

/// Number of samples of [`Stage::Near`] in which half show a single shape.
const SINGLE_SHAPE_PHASE: u64 = 50_000;

/// Number of samples of [`Stage::Letters`] in which half show a few characters.
const CHARACTER_PHASE: u64 = 208_000;

/// Maximum number of questions per sample.
const QUESTIONS: usize = 12;

/// Kinds of questions and their relative frequencies, in order.
type Curriculum = [(Kind, usize)];

/// Curriculum of [`Stage::Far`]: more of the hard kinds, reading and motion.
const FAR: &Curriculum = &[
    (Kind::Read, 5),
    (Kind::Describe, 5),
    (Kind::Motion, 3),
    (Kind::Difference, 2),
    (Kind::Chart, 2),
    (Kind::Change, 1),
    (Kind::Appear, 1),
    (Kind::Text, 1),
];

/// Curriculum of [`Stage::Review`].
const REVIEW: &Curriculum = &[
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

/// Curriculum of [`Stage::Pages`] apart from lines of text: more of the kinds with the lowest accuracy.
const PAGES: &Curriculum = &[
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

/// Index offset of generators that an earlier stage used, so that no sample repeats.
const NEW_INDICES: u64 = 1 << 32;

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 7] =
        [Self::Words, Self::Near, Self::Far, Self::Letters, Self::Review, Self::Lines, Self::Pages];

    /// The name of the stage and of its output folder.
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

    /// Patterns of the frozen parameters.
    pub fn frozen(self) -> Vec<String> {
        let all = ["model.vision_model.*", "model.connector.*"];
        if self == Self::Words { all.map(str::to_owned).to_vec() } else { Vec::new() }
    }

    /// Whether images are split into tiles.
    pub fn splits(self) -> bool {
        matches!(self, Self::Far | Self::Review | Self::Pages)
    }

    /// A training sample. Deterministic.
    pub fn sample(self, split: Split, index: u64) -> Sample {
        match self {
            Self::Words | Self::Near => match index % 6 {
                0..3 if index < SINGLE_SHAPE_PHASE => single_shape(split, index),
                3 | 5 => close_up(split, index),
                _ => without_text(split, index),
            },
            Self::Far => sample_about(kind_at(FAR, index), split, index, QUESTIONS),
            Self::Letters => match index % 6 {
                0 => without_text(split, NEW_INDICES + index),
                1 => few_characters(split, index),
                2 | 3 if index < CHARACTER_PHASE => few_characters(split, index),
                _ => close_up(split, NEW_INDICES + index),
            },
            Self::Review => focused_sample(kind_at(REVIEW, index), split, index, QUESTIONS),
            Self::Lines => match index % 6 {
                0 => without_text(split, 2 * NEW_INDICES + index),
                1 => few_characters(split, NEW_INDICES + index),
                2 => close_up(split, 2 * NEW_INDICES + index),
                _ => close_lines(split, index),
            },
            Self::Pages if index.is_multiple_of(3) => page(split, index),
            Self::Pages => focused_sample(kind_at(PAGES, index), split, NEW_INDICES + index, QUESTIONS),
        }
    }
}

/// The kind of a sample by its index.
fn kind_at(curriculum: &Curriculum, index: u64) -> Kind {
    let kinds: Vec<Kind> = curriculum.iter().flat_map(|&(kind, times)| std::iter::repeat_n(kind, times)).collect();
    kinds[(index % kinds.len() as u64) as usize]
}

/// A mixed sample without printed text, which is illegible if a full image is one tile. Replaces samples with text by
/// others.
fn without_text(split: Split, index: u64) -> Sample {
    const OTHERS: u64 = 1 << 40;
    let mut index = index;
    loop {
        let sample = long_mixed_sample(split, index, QUESTIONS);
        if sample.turns.iter().all(|turn| turn.kind != Kind::Read) {
            return sample;
        }
        index += OTHERS;
    }
}
