//! Drawing with anti-aliasing.

use crate::color::Rgb;
use crate::picture::Picture;
use crate::shape::{REACH, Shape};

/// An image being drawn, in floats.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

/// A shape to be drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub shape: Shape,
    pub x: f32,
    pub y: f32,
    pub radius: f32,
    /// The tangent of half the angle it is turned by.
    pub turn: f32,
}

/// Camera noise and blur.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grain {
    /// Amplitude of uniform noise, of 255.
    pub noise: f32,
    /// Whether to blur with the neighboring pixels.
    pub blur: bool,
    /// Seed of the noise.
    pub seed: u64,
}

impl Canvas {
    /// A canvas filled with a color per column and row.
    pub fn new(width: usize, height: usize, color: impl Fn(usize, usize) -> Rgb) -> Self {
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            pixels.extend((0..width).map(|x| color(x, y)));
        }
        Self { width, height, pixels }
    }

    /// Draws a shape with anti-aliased edges.
    pub fn figure(&mut self, figure: Figure, color: Rgb) {
        let Figure { shape, x, y, radius, turn } = figure;
        // Sine and cosine by basic arithmetic only, so that images are the same on every machine.
        let scale = 1.0 / (1.0 + turn * turn);
        let (sine, cosine) = (2.0 * turn * scale, (1.0 - turn * turn) * scale);
        let reach = REACH * radius + 1.0;
        let (columns, rows) = (span(x - reach, x + reach, self.width), span(y - reach, y + reach, self.height));
        for row in rows {
            for column in columns.clone() {
                let (dx, dy) = ((column as f32 + 0.5 - x) / radius, (row as f32 + 0.5 - y) / radius);
                let distance = shape.distance(cosine * dx + sine * dy, cosine * dy - sine * dx) * radius;
                if distance < 0.5 {
                    self.blend(column, row, color, (0.5 - distance).min(1.0));
                }
            }
        }
    }

    /// Draws an axis-aligned rectangle; partly covered pixels are blended by coverage.
    pub fn rectangle(&mut self, left: f32, top: f32, right: f32, bottom: f32, color: Rgb) {
        for row in span(top, bottom, self.height) {
            let tall = bottom.min(row as f32 + 1.0) - top.max(row as f32);
            for column in span(left, right, self.width) {
                let wide = right.min(column as f32 + 1.0) - left.max(column as f32);
                self.blend(column, row, color, tall * wide);
            }
        }
    }

    /// Applies blur and noise and converts to 8 bits.
    pub fn finish(mut self, grain: Grain) -> Picture {
        if grain.blur {
            self.blur();
        }
        let mut state = grain.seed;
        let mut rgb = Vec::with_capacity(3 * self.pixels.len());
        for pixel in &self.pixels {
            let bits = split_mix(&mut state);
            for (channel, value) in pixel.iter().enumerate() {
                let random = (bits >> (16 * channel)) as u16;
                let noise = (f32::from(random) / 32_767.5 - 1.0) * grain.noise;
                rgb.push((value + noise + 0.5).clamp(0.0, 255.0) as u8);
            }
        }
        Picture { width: self.width, height: self.height, rgb }
    }

    fn blend(&mut self, column: usize, row: usize, color: Rgb, share: f32) {
        let pixel = &mut self.pixels[row * self.width + column];
        for (value, new) in pixel.iter_mut().zip(color) {
            *value += share * (new - *value);
        }
    }

    /// Separable blur with the kernel 1/4, 1/2, 1/4.
    fn blur(&mut self) {
        let lines = |pixels: &mut Vec<Rgb>, starts: usize, start: usize, count: usize, step: usize| {
            for line in 0..starts {
                let first = line * start;
                let mut before = pixels[first];
                for index in 0..count - 1 {
                    let at = first + index * step;
                    let (here, after) = (pixels[at], pixels[at + step]);
                    for channel in 0..3 {
                        pixels[at][channel] = (before[channel] + 2.0 * here[channel] + after[channel]) / 4.0;
                    }
                    before = here;
                }
            }
        };
        lines(&mut self.pixels, self.height, self.width, self.width, 1);
        lines(&mut self.pixels, self.width, 1, self.height, self.width);
    }
}

/// The pixels, out of `count`, that the interval from `low` to `high` touches.
fn span(low: f32, high: f32, count: usize) -> std::ops::Range<usize> {
    let end = (high.ceil().max(0.0) as usize).min(count);
    (low.floor().max(0.0) as usize).min(end)..end
}

/// The next number of Vigna's SplitMix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
