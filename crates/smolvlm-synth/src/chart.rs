//! Bar charts.

use crate::background::Background;
use crate::canvas::Grain;
use crate::color::{Color, Rgb};
use crate::fact::{Fact, sentence};
use crate::font::Font;
use crate::kind::Kind;
use crate::picture::Medium;
use crate::random::Random;
use crate::scene::grain;

/// Two to five labeled bars of clearly different heights.
pub(crate) struct Chart {
    pub bars: Vec<Bar>,
    pub font: Font,
    /// Height of the labels, in pixels.
    pub text: f32,
    /// Bottom of the bars, in pixels from the top.
    pub floor: f32,
    axis: bool,
    background: Background,
    pub grain: Grain,
}

/// One bar.
pub(crate) struct Bar {
    pub label: String,
    pub color: Color,
    /// Height in pixels.
    pub height: usize,
    pub left: f32,
    pub right: f32,
}

const SIZE: usize = 128;

/// Minimum difference of heights, in pixels.
pub(crate) const STEP: usize = 9;

impl Chart {
    pub fn new(random: &mut Random) -> Self {
        let count = random.between(2, 5);
        let labels = labels(random, count);
        let colors =
            if random.percent(55) { random.choose(&Color::ALL, count) } else { vec![random.pick(&Color::ALL); count] };
        // One height in each of `count` steps, so that no two are close.
        let steps = random.choose(&[1, 2, 3, 4, 5, 6, 7, 8], count);
        let heights: Vec<usize> = steps.into_iter().map(|step| step * (STEP + 3) + random.below(4)).collect();
        let slot = (SIZE as f32 - 12.0) / count as f32;
        let wide = slot.min(34.0) * random.range(0.5, 0.75);
        let mut bars = Vec::with_capacity(count);
        for (index, ((label, color), height)) in labels.into_iter().zip(colors).zip(heights).enumerate() {
            let middle = 6.0 + slot * (index as f32 + 0.5);
            bars.push(Bar { label, color, height, left: middle - wide / 2.0, right: middle + wide / 2.0 });
        }
        let shades: Vec<Rgb> = bars.iter().map(|bar| bar.color.rgb()).collect();
        // Labels are black or white, whichever is legible: select a background with enough contrast to one of them.
        let text = if random.percent(70) { Color::Black } else { Color::White };
        Self {
            font: random.pick(&Font::ALL),
            text: random.range(7.0, 9.0),
            floor: random.range(112.0, 114.0),
            axis: random.percent(70),
            background: Background::new(random, &shades, Some(text.rgb())),
            grain: grain(random, false),
            bars,
        }
    }

    pub fn media(&self) -> Vec<Medium> {
        let ink = if self.background.luma() > 128.0 { Color::Black } else { Color::White }.rgb();
        let mut canvas = self.background.canvas(SIZE, SIZE);
        for bar in &self.bars {
            canvas.rectangle(bar.left, self.floor - bar.height as f32, bar.right, self.floor, bar.color.rgb());
            let left = (bar.left + bar.right - self.font.width(&bar.label, self.text)) / 2.0;
            self.font.print(&mut canvas, &bar.label, left, self.floor + 3.5, self.text, ink);
        }
        if self.axis {
            canvas.rectangle(5.0, self.floor, SIZE as f32 - 5.0, self.floor + 1.0, ink);
        }
        vec![Medium::Image(canvas.finish(self.grain))]
    }

    pub fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![Fact::new(Kind::Chart, COUNT, &[], self.bars.len().to_string())];
        let mut sorted: Vec<&Bar> = self.bars.iter().collect();
        sorted.sort_by_key(|bar| bar.height);
        if let [shortest, .., tallest] = sorted[..] {
            facts.push(Fact::new(Kind::Chart, TALLEST, &[], tallest.label.clone()));
            facts.push(Fact::new(Kind::Chart, SHORTEST, &[], shortest.label.clone()));
        }
        let several = self.bars.iter().any(|bar| bar.color != self.bars[0].color);
        for (index, bar) in self.bars.iter().enumerate() {
            if several {
                let (label, color) = (&bar.label, bar.color.name());
                facts.push(Fact::new(Kind::Chart, WITH_COLOR, &[color], label.clone()));
                facts.push(Fact::new(Kind::Chart, COLOR, &[label], sentence(color)));
            }
            for other in &self.bars[..index] {
                let taller = if bar.height > other.height { bar } else { other };
                facts.push(Fact::new(Kind::Chart, TALLER, &[&other.label, &bar.label], taller.label.clone()));
            }
        }
        facts
    }
}

/// Distinct labels: the first letters of the alphabet, random letters, or pairs of letters.
fn labels(random: &mut Random, count: usize) -> Vec<String> {
    const LETTERS: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let style = random.below(10);
    let letters = if style < 3 { LETTERS[..count].to_vec() } else { random.choose(LETTERS, count) };
    let mut label = |letter: u8| {
        let mut label = String::from(letter as char);
        if style == 9 {
            label.push(random.pick(LETTERS) as char);
        }
        label
    };
    letters.into_iter().map(&mut label).collect()
}

const COUNT: &[&str] = &["How many bars are there?", "Count the bars."];
const TALLEST: &[&str] = &["Which bar is tallest?", "Which bar is the tallest?", "What is the tallest bar?"];
const SHORTEST: &[&str] = &["Which bar is shortest?", "Which bar is the shortest?", "What is the shortest bar?"];
const WITH_COLOR: &[&str] = &["Which bar is {}?", "What is the {} bar?"];
const COLOR: &[&str] = &["What colour is bar {}?", "Which colour is bar {}?"];
const TALLER: &[&str] = &["Which bar is taller, {} or {}?"];
