//! Samples: images or clips with questions and answers.

use crate::fact::Fact;
use crate::kind::Kind;
use crate::picture::Medium;
use crate::random::Random;
use crate::reading::Reading;
use crate::scene_spec::{Family, SceneSpec};
use crate::shapes::Shapes;
use crate::split::Split;

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The kind of question.
    pub kind: Kind,
    /// The question, in ASCII.
    pub question: String,
    /// The correct answer, in ASCII: words and phrases as a sentence, numbers and printed text verbatim.
    pub answer: String,
}

/// Images or clips and a conversation about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Images and clips, at the start of the first message.
    pub media: Vec<Medium>,
    /// Questions and answers, at least one.
    pub turns: Vec<Turn>,
}

/// Default maximum number of questions per sample.
pub(crate) const DEFAULT_MAX_TURNS: usize = 6;
/// Seed purpose of [`mixed_sample`]. That of [`sample`] is the index of the kind.
const MIXED: u64 = 1000;
/// Seed purpose of [`close_up`].
const CLOSE_UPS: u64 = 1001;
/// Seed purpose of [`single_shape`].
const SINGLE_SHAPES: u64 = 1002;
/// Seed purpose of [`few_characters`].
const CHARACTERS: u64 = 1003;
/// Seed purpose of [`close_lines`].
const LINES: u64 = 1004;
/// Seed purpose of [`page`].
const PAGES: u64 = 1005;
/// Seed purpose of [`sample_about`], plus the index of the kind.
const ABOUT_KIND: u64 = 2000;
/// Seed purpose of [`focused_sample`], plus the index of the kind.
const FOCUSED: u64 = 3000;

/// A sample with one question of a kind. Deterministic.
///
/// With [`Split::HeldOut`], [`Describe`](Kind::Describe), [`Color`](Kind::Color), [`Shape`](Kind::Shape) and
/// [`Place`](Kind::Place) ask about a held-out combination of color, shape and place; [`Count`](Kind::Count),
/// [`Relation`](Kind::Relation), [`Read`](Kind::Read) and [`Difference`](Kind::Difference) have one in the image, and
/// so do [`Change`](Kind::Change) and [`Appear`](Kind::Appear) if the clip contains anything but the changing shape.
/// [`Motion`](Kind::Motion), [`Chart`](Kind::Chart) and [`Text`](Kind::Text) have no places: there the split only
/// differs in its seeds. Questions of [`Text`](Kind::Text) come from one pool of some hundreds, so that most test
/// questions also occur in training.
pub fn sample(kind: Kind, split: Split, index: u64) -> Sample {
    let mut random = split.random(kind as u64, index);
    loop {
        let spec = SceneSpec::new(&mut random, split, Family::of(kind), Some(kind));
        let mut facts = spec.facts(&mut random);
        if let Some(fact) = take(&mut random, &mut facts, kind, false) {
            return Sample { turns: vec![fact.ask(&mut random)], media: spec.media() };
        }
    }
}

/// A sample with 2 to 6 questions about one scene, of different kinds where possible, in random order. Deterministic.
///
/// 45 % of the samples show shapes, 20 % printed text, 8 % a bar chart, 10 % two images, 12 % a clip, and 5 % are text
/// only. With [`Split::HeldOut`], all show shapes, one of them held out.
pub fn mixed_sample(split: Split, index: u64) -> Sample {
    long_mixed_sample(split, index, DEFAULT_MAX_TURNS)
}

/// [`mixed_sample`] with up to `max_turns` questions (at least 2) about the same scene: encoding an image costs more
/// than a question.
pub fn long_mixed_sample(split: Split, index: u64, max_turns: usize) -> Sample {
    let (spec, turns) = undrawn_sample(split, index, max_turns);
    Sample { media: spec.media(), turns }
}

/// A sample with up to `max_turns` questions (at least 2) about a scene for the given kind; a clip has the kind's
/// event. Deterministic.
pub fn sample_about(kind: Kind, split: Split, index: u64, max_turns: usize) -> Sample {
    let mut random = split.random(ABOUT_KIND + kind as u64, index);
    let spec = SceneSpec::new(&mut random, split, Family::of(kind), Some(kind));
    draw_sample(&mut random, &spec, max_turns, None)
}

/// [`sample_about`] in which about half of the questions are of the given kind, as long as there are such.
pub fn focused_sample(kind: Kind, split: Split, index: u64, max_turns: usize) -> Sample {
    let mut random = split.random(FOCUSED + kind as u64, index);
    let spec = SceneSpec::new(&mut random, split, Family::of(kind), Some(kind));
    draw_sample(&mut random, &spec, max_turns, Some(kind))
}

/// A sample with 1 to 6 questions about small printed text in an image of 64x64 pixels, as in one tile of a larger
/// image. Deterministic.
pub fn close_up(split: Split, index: u64) -> Sample {
    short_sample(split.random(CLOSE_UPS, index), |random| SceneSpec::Reading(Reading::close(random, split)))
}

/// A sample with 1 to 6 questions about one to three printed characters, small or large, in an image of 64x64 pixels.
/// Deterministic.
pub fn few_characters(split: Split, index: u64) -> Sample {
    short_sample(split.random(CHARACTERS, index), |random| SceneSpec::Reading(Reading::characters(random, split)))
}

/// A sample with 1 to 6 questions about lines of small text, one to twelve words, all part of the answer, in an image
/// of 64x64 pixels. Deterministic.
pub fn close_lines(split: Split, index: u64) -> Sample {
    short_sample(split.random(LINES, index), |random| SceneSpec::Reading(Reading::lines(random, split, true)))
}

/// [`close_lines`] in an image of 128x128 pixels.
pub fn page(split: Split, index: u64) -> Sample {
    short_sample(split.random(PAGES, index), |random| SceneSpec::Reading(Reading::lines(random, split, false)))
}

/// A sample with 1 to 6 questions about a single shape in an image of 64x64 pixels. Deterministic.
pub fn single_shape(split: Split, index: u64) -> Sample {
    short_sample(split.random(SINGLE_SHAPES, index), |random| SceneSpec::Shapes(Shapes::single(random, split)))
}

/// A sample of at most [`DEFAULT_MAX_TURNS`] questions about the scene that `spec` creates.
fn short_sample(mut random: Random, spec: impl FnOnce(&mut Random) -> SceneSpec) -> Sample {
    let spec = spec(&mut random);
    draw_sample(&mut random, &spec, DEFAULT_MAX_TURNS, None)
}

/// Draws a scene and asks questions about it.
fn draw_sample(random: &mut Random, spec: &SceneSpec, max_turns: usize, focus: Option<Kind>) -> Sample {
    let turns = ask(random, spec, max_turns, focus);
    Sample { media: spec.media(), turns }
}

/// The scene and questions of a mixed sample, without drawing.
pub(crate) fn undrawn_sample(split: Split, index: u64, max_turns: usize) -> (SceneSpec, Vec<Turn>) {
    let mut random = split.random(MIXED, index);
    let family = Family::any(&mut random, split);
    let spec = SceneSpec::new(&mut random, split, family, None);
    let turns = ask(&mut random, &spec, max_turns, None);
    (spec, turns)
}

/// 2 to `max_turns` questions in random order, if there are as many; half of them of the kind `focus`, if given.
fn ask(random: &mut Random, spec: &SceneSpec, max_turns: usize, focus: Option<Kind>) -> Vec<Turn> {
    let mut facts = spec.facts(random);
    let mut turns: Vec<Turn> = Vec::new();
    for turn in 0..random.between(2, max_turns) {
        // The first question is never about a secondary fact.
        let main = facts.iter().filter(|fact| turn > 0 || !fact.secondary);
        let mut kinds: Vec<Kind> = main.map(|fact| fact.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.is_empty() {
            break;
        }
        let kind = match focus {
            Some(focus) if kinds.contains(&focus) && random.percent(50) => focus,
            _ => random.pick(&kinds),
        };
        turns.extend(take(random, &mut facts, kind, turn > 0).map(|fact| fact.ask(random)));
    }
    random.shuffle(&mut turns);
    turns
}

/// Removes and returns a random fact of a kind, a secondary one only if `secondary`. All question templates have the
/// same probability, regardless of the number of facts they apply to.
fn take(random: &mut Random, facts: &mut Vec<Fact>, kind: Kind, secondary: bool) -> Option<Fact> {
    let fits = |fact: &Fact| fact.kind == kind && (secondary || !fact.secondary);
    let mut sorts: Vec<&'static [&'static str]> = Vec::new();
    for fact in facts.iter().filter(|fact| fits(fact)) {
        if !sorts.contains(&fact.forms) {
            sorts.push(fact.forms);
        }
    }
    if sorts.is_empty() {
        return None;
    }
    let sort = random.pick(&sorts);
    let of_sort = |fact: &Fact| fits(fact) && fact.forms == sort;
    let indices: Vec<usize> = (0..facts.len()).filter(|&index| of_sort(&facts[index])).collect();
    Some(facts.swap_remove(random.pick(&indices)))
}

/// Whether an answer is correct, ignoring case, surrounding whitespace and a final period.
pub fn is_right(turn: &Turn, answer: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim();
        text.strip_suffix('.').unwrap_or(text).trim_end().to_ascii_lowercase()
    };
    bare(&turn.answer) == bare(answer)
}
