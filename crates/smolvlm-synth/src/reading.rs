//! Images of printed text.

use crate::background::Background;
use crate::canvas::Grain;
use crate::color::{Color, Rgb, luma};
use crate::fact::{Fact, sentence};
use crate::font::Font;
use crate::kind::Kind;
use crate::picture::Medium;
use crate::place::Place;
use crate::random::Random;
use crate::scene::{Item, Scene, SceneConstraints, grain};
use crate::scene_facts;
use crate::split::Split;

/// Words or numbers, usually one or two, optionally on a sign and with shapes above or below.
pub(crate) struct Reading {
    pub words: Vec<String>,
    pub font: Font,
    /// Height of capital letters, in pixels.
    pub height: f32,
    /// Left and top coordinates of the words.
    pub starts: Vec<(f32, f32)>,
    pub color: Color,
    /// The left, top, right and bottom edge of the sign and its color.
    pub sign: Option<([f32; 4], Rgb)>,
    pub items: Vec<Item>,
    pub background: Background,
    pub grain: Grain,
    /// Width and height of the image, in pixels.
    pub size: usize,
}

/// Edge length of a full image and of a close-up, in pixels.
const WHOLE: usize = 128;
const CLOSE: usize = 64;

/// Minimum and maximum height of small text, which is legible in the tiles, but not in the global view.
pub(crate) const SMALL: (f32, f32) = (6.0, 9.0);

impl Reading {
    pub fn new(random: &mut Random, split: Split) -> Self {
        let count = if random.percent(25) { 2 } else { 1 };
        let words: Vec<String> = (0..count).map(|_| word(random, split)).collect();
        let font = random.pick(&Font::ALL);
        let with_shapes = split == Split::HeldOut || random.percent(35);
        // With shapes, the text has one of three rows to itself.
        let row = random.below(3);
        let space = if with_shapes { band(row) } else { (4.0, WHOLE as f32 - 4.0) };
        let large = !with_shapes && words.len() == 1 && random.percent(25);
        let height = if large { random.range(9.0, 16.0) } else { random.range(SMALL.0, SMALL.1) };
        let block = Block::new(random, font, &words, height, WHOLE as f32 - 16.0);
        Self::place(random, split, (words, font, height, block), with_shapes.then_some(row), space, WHOLE)
    }

    /// Small text in a close-up without anything else.
    pub fn close(random: &mut Random, split: Split) -> Self {
        loop {
            let count = if random.percent(25) { 2 } else { 1 };
            let words = (0..count).map(|_| word(random, split)).collect();
            if let Some(reading) = Self::fill(random, split, words, SMALL) {
                return reading;
            }
        }
    }

    /// One to three characters, usually one, small or large, in a close-up.
    pub fn characters(random: &mut Random, split: Split) -> Self {
        let count = random.pick(&[1, 1, 1, 1, 2, 3]);
        let set: &[u8] = if random.percent(25) { b"0123456789" } else { LETTERS };
        loop {
            let word: String = (0..count).map(|_| random.pick(set) as char).collect();
            if split.may_print(&word)
                && let Some(reading) = Self::fill(random, split, vec![word], (SMALL.0, 28.0))
            {
                return reading;
            }
        }
    }

    /// Lines of small text, as much as fits and at most 12 words, in an image of 64 or 128 pixels.
    pub fn lines(random: &mut Random, split: Split, close: bool) -> Self {
        let size = if close { CLOSE } else { WHOLE };
        let edge = size as f32;
        loop {
            let (font, height) = (random.pick(&Font::ALL), random.range(SMALL.0, SMALL.1));
            let words: Vec<String> = (0..random.between(2, 12)).map(|_| word(random, split)).collect();
            let (words, block) = Block::lines(random, font, words, height, edge - 12.0);
            if !words.is_empty() {
                return Self::place(random, split, (words, font, height, block), None, (-2.0, edge + 2.0), size);
            }
        }
    }

    /// Words in a close-up; none if they are too wide.
    fn fill(random: &mut Random, split: Split, words: Vec<String>, heights: (f32, f32)) -> Option<Self> {
        let size = CLOSE as f32;
        let font = random.pick(&Font::ALL);
        let height = random.range(heights.0, heights.1);
        let block = Block::new(random, font, &words, height, size - 6.0);
        let fits = block.width <= size - 6.0;
        fits.then(|| Self::place(random, split, (words, font, height, block), None, (-2.0, size + 2.0), CLOSE))
    }

    /// Places lines of words in the vertical range `space`, and shapes in the rows other than `row`, if given.
    fn place(
        random: &mut Random,
        split: Split,
        (words, font, height, block): (Vec<String>, Font, f32, Block),
        row: Option<usize>,
        space: (f32, f32),
        size: usize,
    ) -> Self {
        let margin = if size == WHOLE { 6.0 } else { 3.0 };
        let left = random.range(margin, size as f32 - margin - block.width);
        let top = random.range(space.0 + 5.0, space.1 - 5.0 - block.height);
        let starts = block.starts.iter().map(|(x, y)| (left + x, top + y)).collect();

        let mut items = Vec::new();
        if let Some(row) = row {
            let places: Vec<Place> = Place::ALL.into_iter().filter(|place| place.row != row).collect();
            let count = random.between(1, 3);
            let constraints =
                SceneConstraints { width: size, height: size, count, radius: (8.0, 12.0), places: &places, split };
            items = Scene::new(random, constraints).items;
        }
        let color = random.pick(&Color::ALL);
        let sign = random.percent(40).then(|| {
            let pad = random.range(2.0, 3.5);
            let edges = [left - pad, top - pad, left + block.width + pad, top + block.height + pad];
            (edges, sign_color(random, color))
        });
        let colors: Vec<Rgb> = items.iter().map(Item::rgb).collect();
        let text = if sign.is_none() { Some(color.rgb()) } else { None };
        let background = Background::new(random, &colors, text);
        Self { words, font, height, starts, color, sign, items, background, grain: grain(random, false), size }
    }

    pub fn media(&self) -> Vec<Medium> {
        let mut canvas = self.background.canvas(self.size, self.size);
        for item in &self.items {
            canvas.figure(item.figure(), item.rgb());
        }
        if let Some(([left, top, right, bottom], rgb)) = self.sign {
            // A border makes the sign visible on any background.
            canvas.rectangle(left - 1.0, top - 1.0, right + 1.0, bottom + 1.0, self.color.rgb());
            canvas.rectangle(left, top, right, bottom, rgb);
        }
        for (word, &(left, top)) in self.words.iter().zip(&self.starts) {
            self.font.print(&mut canvas, word, left, top, self.height, self.color.rgb());
        }
        vec![Medium::Image(canvas.finish(self.grain))]
    }

    pub fn facts(&self) -> Vec<Fact> {
        let forms = if self.sign.is_some() { READ_SIGN } else { READ };
        let mut facts = vec![
            Fact::new(Kind::Read, forms, &[], self.words.join(" ")),
            Fact::new(Kind::Color, TEXT_COLOR, &[], sentence(self.color.name())).secondary(),
        ];
        if let [word] = &self.words[..]
            && word.len() > 1
        {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            let (first, last, count) =
                if digits { (FIRST_DIGIT, LAST_DIGIT, DIGIT_COUNT) } else { (FIRST_LETTER, LAST_LETTER, LETTER_COUNT) };
            facts.push(Fact::new(Kind::Read, first, &[], &word[..1]).secondary());
            facts.push(Fact::new(Kind::Read, last, &[], &word[word.len() - 1..]).secondary());
            facts.push(Fact::new(Kind::Count, count, &[], word.len().to_string()).secondary());
        }
        facts.extend(scene_facts::each(&self.items).into_iter().map(Fact::secondary));
        facts
    }
}

/// Layout of words, relative to the top left corner.
struct Block {
    width: f32,
    height: f32,
    starts: Vec<(f32, f32)>,
}

impl Block {
    /// Words in one line if they are narrower than `room`, or one per line.
    fn new(random: &mut Random, font: Font, words: &[String], height: f32, room: f32) -> Self {
        let widths: Vec<f32> = words.iter().map(|word| font.width(word, height)).collect();
        let widest = widths.iter().copied().fold(0.0, f32::max);
        let gap = height * random.range(0.8, 1.2);
        let in_line = widths.iter().sum::<f32>() + gap * (widths.len() - 1) as f32;
        if in_line < room && random.percent(60) {
            let mut left = 0.0;
            let mut starts = Vec::new();
            for width in widths {
                starts.push((left, 0.0));
                left += width + gap;
            }
            return Self { width: in_line, height, starts };
        }
        let step = height * random.range(1.4, 1.7);
        let starts = (0..words.len()).map(|line| (0.0, step * line as f32)).collect();
        Self { width: widest, height: height + step * (words.len() - 1) as f32, starts }
    }

    /// Words with line breaks at a width of `room`. Words that are wider, or whose line would end below `room`, are
    /// dropped.
    fn lines(random: &mut Random, font: Font, words: Vec<String>, height: f32, room: f32) -> (Vec<String>, Self) {
        let gap = height * random.range(0.8, 1.2);
        let step = height * random.range(1.4, 1.7);
        let (mut left, mut top) = (0.0, 0.0);
        let mut block = Self { width: 0.0, height: 0.0, starts: Vec::new() };
        let mut printed = Vec::new();
        for word in words {
            let width = font.width(&word, height);
            if left + width > room {
                (left, top) = (0.0, top + step);
            }
            if width > room || top + height > room {
                continue;
            }
            block.starts.push((left, top));
            block.width = block.width.max(left + width);
            block.height = top + height;
            left += width + gap;
            printed.push(word);
        }
        (printed, block)
    }
}

/// The first and last pixel row of a row of the grid.
fn band(row: usize) -> (f32, f32) {
    let third = WHOLE as f32 / 3.0;
    (third * row as f32, third * (row + 1) as f32)
}

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A random word of 1 to 6 capital letters or number of 1 to 4 digits.
fn word(random: &mut Random, split: Split) -> String {
    let style = random.below(10);
    // The length is chosen first, so that all splits have the same distribution of lengths.
    let length = match style {
        0..3 => random.between(1, 4),
        3..6 => random.between(1, 6),
        _ => random.between(2, 6),
    };
    loop {
        let word = match style {
            0..3 => number(random, length),
            3..6 => (0..length).map(|_| random.pick(LETTERS) as char).collect(),
            _ => syllables(random, length),
        };
        if split.may_print(&word) {
            return word;
        }
    }
}

fn number(random: &mut Random, digits: usize) -> String {
    let low = if digits == 1 { 0 } else { 10_usize.pow(digits as u32 - 1) };
    random.between(low, 10_usize.pow(digits as u32) - 1).to_string()
}

/// Alternating consonants and vowels.
fn syllables(random: &mut Random, length: usize) -> String {
    let first = random.below(2);
    let letter = |at: usize| {
        random.pick(if (at + first).is_multiple_of(2) { b"BCDFGHJKLMNPQRSTVWXYZ" } else { b"AEIOU" as &[u8] })
    };
    (0..length).map(letter).map(char::from).collect()
}

/// A plain background color with enough contrast to the text.
fn sign_color(random: &mut Random, text: Color) -> Rgb {
    loop {
        let level = random.range(10.0, 250.0);
        let rgb = [(); 3].map(|()| (level + random.range(-25.0, 25.0)).clamp(0.0, 255.0));
        if (luma(rgb) - luma(text.rgb())).abs() > 100.0 {
            return rgb;
        }
    }
}

const READ: &[&str] = &["Read the text.", "What does the text say?", "What is written here?"];
const READ_SIGN: &[&str] = &["Read the text.", "What does the sign say?", "What is written here?", "Read the sign."];
const TEXT_COLOR: &[&str] = &["What colour is the text?", "Which colour is the text?"];
const FIRST_LETTER: &[&str] = &["What is the first letter?", "Which letter is first?"];
const LAST_LETTER: &[&str] = &["What is the last letter?", "Which letter is last?"];
const LETTER_COUNT: &[&str] = &["How many letters are there?", "Count the letters."];
const FIRST_DIGIT: &[&str] = &["What is the first digit?", "Which digit is first?"];
const LAST_DIGIT: &[&str] = &["What is the last digit?", "Which digit is last?"];
const DIGIT_COUNT: &[&str] = &["How many digits are there?", "Count the digits."];
