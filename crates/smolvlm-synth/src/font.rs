//! Rendering of letters and digits.

use std::sync::LazyLock;

use crate::canvas::Canvas;
use crate::color::Rgb;
use crate::glyphs::{BOLD, GlyphStrip, NARROW, PLAIN};

/// A typeface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Font {
    Plain,
    Bold,
    Narrow,
}

/// Number of rows of a glyph, the height of a capital letter.
const ROWS: f32 = 7.0;

/// A glyph as rows of bits, the leftmost column in the lowest bit.
struct Glyph {
    width: usize,
    rows: [u8; 7],
}

static GLYPHS: LazyLock<[[Option<Glyph>; 128]; 3]> = LazyLock::new(|| [glyphs(&PLAIN), glyphs(&BOLD), glyphs(&NARROW)]);

impl Font {
    pub const ALL: [Self; 3] = [Self::Plain, Self::Bold, Self::Narrow];

    /// Width of capital letters, digits and spaces if capitals are `height` pixels high.
    pub fn width(self, text: &str, height: f32) -> f32 {
        let units: usize = text.chars().map(|letter| self.advance(letter)).sum();
        units.saturating_sub(1) as f32 * height / ROWS
    }

    /// Draws text with its top left corner at (`left`, `top`).
    pub fn print(self, canvas: &mut Canvas, text: &str, left: f32, top: f32, height: f32, color: Rgb) {
        let unit = height / ROWS;
        let mut left = left;
        for letter in text.chars() {
            if let Some(glyph) = self.glyph(letter) {
                let ink = |row: usize, column: usize| glyph.rows[row] >> column & 1 == 1;
                for row in 0..glyph.rows.len() {
                    let top = top + row as f32 * unit;
                    for run in runs(glyph.width, |column| ink(row, column)) {
                        let (from, to) = (left + run.start as f32 * unit, left + run.end as f32 * unit);
                        canvas.rectangle(from, top, to, top + unit, color);
                    }
                }
            }
            left += self.advance(letter) as f32 * unit;
        }
    }

    /// Number of columns from one character to the next.
    fn advance(self, letter: char) -> usize {
        // A space is as wide as a letter.
        1 + self.glyph(letter).map_or(4, |glyph| glyph.width)
    }

    fn glyph(self, letter: char) -> Option<&'static Glyph> {
        GLYPHS[self as usize].get(letter as usize)?.as_ref()
    }
}

fn glyphs(strips: &[GlyphStrip]) -> [Option<Glyph>; 128] {
    let mut all = [const { None }; 128];
    for (letters, lines) in strips {
        for (index, letter) in letters.bytes().enumerate() {
            let rows = lines.map(|line| line.split(' ').nth(index).unwrap_or_default());
            let bits = |row: &str| row.bytes().rev().fold(0, |bits, byte| bits << 1 | u8::from(byte == b'#'));
            all[usize::from(letter)] = Some(Glyph { width: rows[0].len(), rows: rows.map(bits) });
        }
    }
    all
}

/// The longest runs of columns with ink.
fn runs(width: usize, ink: impl Fn(usize) -> bool) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for column in (0..width).filter(|&column| ink(column)) {
        match runs.last_mut() {
            Some(run) if run.end == column => run.end += 1,
            _ => runs.push(column..column + 1),
        }
    }
    runs
}
