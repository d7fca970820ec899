//! Samples: something to look at, questions and answers.

use crate::fact::Fact;
use crate::kind::Kind;
use crate::picture::Medium;
use crate::random::Random;
use crate::reading::Reading;
use crate::shapes::Shapes;
use crate::split::Split;
use crate::story::{Family, Story};

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What it is about.
    pub kind: Kind,
    /// The question, in ASCII.
    pub question: String,
    /// The one right answer, in ASCII: words and phrases as a sentence, numbers and printed text as they are.
    pub answer: String,
}

/// Something to look at and a conversation about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Stills and clips; they come first in the first message.
    pub media: Vec<Medium>,
    /// Questions and answers, at least one.
    pub turns: Vec<Turn>,
}

/// Most questions of a lesson.
pub(crate) const USUAL: usize = 6;
/// Seeds of lessons. Those of single questions are the kinds' numbers.
const LESSONS: u64 = 1000;
/// Seeds of close-ups.
const CLOSE_UPS: u64 = 1001;
/// Seeds of single shapes.
const LONE_SHAPES: u64 = 1002;
/// Seeds of a few characters.
const CHARACTERS: u64 = 1003;
/// Seeds of lines of text, close and on pages.
const LINES: u64 = 1004;
const PAGES: u64 = 1005;
/// Seeds of lessons about a kind, plus the kind's number.
const LESSONS_ABOUT: u64 = 2000;
/// Seeds of drills, plus the kind's number.
const DRILLS: u64 = 3000;

/// A question of a kind, the same for the same arguments.
///
/// With [`Split::HeldOut`], [`Describe`](Kind::Describe), [`Color`](Kind::Color), [`Shape`](Kind::Shape) and
/// [`Place`](Kind::Place) ask about a held-out combination of color, shape and place;
/// [`Count`](Kind::Count), [`Relation`](Kind::Relation), [`Read`](Kind::Read) and [`Difference`](Kind::Difference) have
/// one in the picture, as have [`Change`](Kind::Change) and [`Appear`](Kind::Appear) if anything but the changing shape
/// is in the clip. [`Motion`](Kind::Motion), [`Chart`](Kind::Chart) and [`Text`](Kind::Text) have no places: there the
/// split only has seeds of its own. Questions of [`Text`](Kind::Text) come from one pool of some hundreds, so that most of
/// a test's have been in training.
pub fn sample(kind: Kind, split: Split, index: u64) -> Sample {
    let mut random = split.random(kind as u64, index);
    loop {
        let story = Story::new(&mut random, split, Family::of(kind), Some(kind));
        let mut facts = story.facts(&mut random);
        if let Some(fact) = take(&mut random, &mut facts, kind, false) {
            return Sample { turns: vec![fact.ask(&mut random)], media: story.media() };
        }
    }
}

/// Several questions about one thing to look at, the same for the same arguments: 2 to 6, of different kinds where there
/// are such, in random order.
///
/// Of 100 lessons, 45 show shapes, 20 printed text, 8 a bar chart, 10 two pictures, 12 a clip, and 5 nothing. With
/// [`Split::HeldOut`] all show shapes, one of them held out.
pub fn lesson(split: Split, index: u64) -> Sample {
    long_lesson(split, index, USUAL)
}

/// As [`lesson`], with up to `most` questions (2 or more) about what the lesson of the same number shows: looking costs more
/// than asking.
pub fn long_lesson(split: Split, index: u64, most: usize) -> Sample {
    let (story, turns) = talk(split, index, most);
    Sample { media: story.media(), turns }
}

/// Several questions, up to `most` (2 or more), about what questions of a kind are asked about, the same for the same
/// arguments: a lesson whose subject is chosen. A clip has the kind's event.
pub fn lesson_about(kind: Kind, split: Split, index: u64, most: usize) -> Sample {
    let mut random = split.random(LESSONS_ABOUT + kind as u64, index);
    let story = Story::new(&mut random, split, Family::of(kind), Some(kind));
    converse(&mut random, &story, most, None)
}

/// As [`lesson_about`], and every other question is of the kind, as long as there are such.
pub fn drill(kind: Kind, split: Split, index: u64, most: usize) -> Sample {
    let mut random = split.random(DRILLS + kind as u64, index);
    let story = Story::new(&mut random, split, Family::of(kind), Some(kind));
    converse(&mut random, &story, most, Some(kind))
}

/// A lesson of 1 to 6 questions about small printed text in a still of 64x64 pixels, the same for the same arguments: what
/// one tile of a larger still may show.
pub fn close_up(split: Split, index: u64) -> Sample {
    short_lesson(split.random(CLOSE_UPS, index), |random| Story::Reading(Reading::close(random, split)))
}

/// A lesson of 1 to 6 questions about one to three printed characters, small or large, in a still of 64x64 pixels, the same for
/// the same arguments.
pub fn few_characters(split: Split, index: u64) -> Sample {
    short_lesson(split.random(CHARACTERS, index), |random| Story::Reading(Reading::characters(random, split)))
}

/// A lesson of 1 to 6 questions about small text in lines, one to twelve words that are all to be read, in a still of 64x64
/// pixels, the same for the same arguments.
pub fn close_lines(split: Split, index: u64) -> Sample {
    short_lesson(split.random(LINES, index), |random| Story::Reading(Reading::lines(random, split, true)))
}

/// As [`close_lines`], in a still of 128x128 pixels.
pub fn page(split: Split, index: u64) -> Sample {
    short_lesson(split.random(PAGES, index), |random| Story::Reading(Reading::lines(random, split, false)))
}

/// A lesson of 1 to 6 questions about a single shape in a still of 64x64 pixels, the same for the same arguments.
pub fn lone_shape(split: Split, index: u64) -> Sample {
    short_lesson(split.random(LONE_SHAPES, index), |random| Story::Shapes(Shapes::lone(random, split)))
}

/// A lesson of the usual length about the story that is told first.
fn short_lesson(mut random: Random, story: impl FnOnce(&mut Random) -> Story) -> Sample {
    let story = story(&mut random);
    converse(&mut random, &story, USUAL, None)
}

/// A lesson about a story.
fn converse(random: &mut Random, story: &Story, most: usize, drilled: Option<Kind>) -> Sample {
    let turns = ask(random, story, most, drilled);
    Sample { media: story.media(), turns }
}

/// A lesson that is not drawn yet.
pub(crate) fn talk(split: Split, index: u64, most: usize) -> (Story, Vec<Turn>) {
    let mut random = split.random(LESSONS, index);
    let family = Family::any(&mut random, split);
    let story = Story::new(&mut random, split, family, None);
    let turns = ask(&mut random, &story, most, None);
    (story, turns)
}

/// Several questions in random order, 2 to `most` if there are as many; half of them of the kind that is `drilled`.
fn ask(random: &mut Random, story: &Story, most: usize, drilled: Option<Kind>) -> Vec<Turn> {
    let mut facts = story.facts(random);
    let mut turns: Vec<Turn> = Vec::new();
    for turn in 0..random.between(2, most) {
        // What the picture is there for is always asked.
        let main = facts.iter().filter(|fact| turn > 0 || !fact.aside);
        let mut kinds: Vec<Kind> = main.map(|fact| fact.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.is_empty() {
            break;
        }
        let kind = match drilled {
            Some(drilled) if kinds.contains(&drilled) && random.percent(50) => drilled,
            _ => random.pick(&kinds),
        };
        turns.extend(take(random, &mut facts, kind, turn > 0).map(|fact| fact.ask(random)));
    }
    random.shuffle(&mut turns);
    turns
}

/// Takes one of a kind out, one that is asked `aside` only if so told. Each sort of question is as likely, however many
/// things it can be asked about.
fn take(random: &mut Random, facts: &mut Vec<Fact>, kind: Kind, aside: bool) -> Option<Fact> {
    let fits = |fact: &Fact| fact.kind == kind && (aside || !fact.aside);
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

/// Whether an answer is the right one: upper and lower case, blanks around it and a full stop at the end do not count,
/// everything else does.
pub fn is_right(turn: &Turn, answer: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim();
        text.strip_suffix('.').unwrap_or(text).trim_end().to_ascii_lowercase()
    };
    bare(&turn.answer) == bare(answer)
}
