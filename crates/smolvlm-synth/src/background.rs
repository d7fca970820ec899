//! Backgrounds.

use crate::canvas::Canvas;
use crate::color::{Rgb, distance, luma};
use crate::random::Random;

/// A background pattern with two colors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Background {
    pattern: Pattern,
    from: Rgb,
    to: Rgb,
}

#[derive(Debug, Clone, Copy)]
enum Pattern {
    Plain,
    /// Gradient along this direction, whose absolute values sum to 1.
    Gradient {
        right: f32,
        down: f32,
    },
    Stripes {
        width: usize,
        upright: bool,
    },
    Checks {
        width: usize,
    },
    Dots {
        width: usize,
    },
}

/// Minimum [`distance`] between the background and the color of each shape.
const CONTRAST: f32 = 105.0;

/// Minimum difference in brightness between the background and text on it.
const TEXT_CONTRAST: f32 = 95.0;

impl Background {
    /// A random background with contrast to shapes of these colors, and to text of that color.
    pub fn new(random: &mut Random, shapes: &[Rgb], text: Option<Rgb>) -> Self {
        let (mut best, mut best_score) = (Self::any(random), 0.0);
        for _ in 0..60 {
            let next = Self::any(random);
            let score = next.score(shapes, text);
            if score > best_score {
                (best, best_score) = (next, score);
            }
            if score >= 1.0 {
                break;
            }
        }
        best
    }

    /// A canvas of this background.
    pub fn canvas(&self, width: usize, height: usize) -> Canvas {
        let mix =
            |share: f32| [0, 1, 2].map(|channel| self.from[channel] + share * (self.to[channel] - self.from[channel]));
        let either = |second: bool| if second { self.to } else { self.from };
        let size = width.max(height) as f32;
        Canvas::new(width, height, |x, y| match self.pattern {
            Pattern::Plain => self.from,
            Pattern::Gradient { right, down } => {
                let across =
                    |step: f32, at: usize| if step < 0.0 { step * (at as f32 - size) } else { step * at as f32 };
                mix((across(right, x) + across(down, y)) / size)
            }
            Pattern::Stripes { width, upright } => either((if upright { x } else { y } / width).is_multiple_of(2)),
            Pattern::Checks { width } => either((x / width + y / width).is_multiple_of(2)),
            Pattern::Dots { width } => {
                let off = |at: usize| (at % width) as isize - width as isize / 2;
                either(off(x) * off(x) + off(y) * off(y) <= 2)
            }
        })
    }

    /// Mean brightness, 0 to 255.
    pub fn luma(&self) -> f32 {
        (luma(self.from) + luma(self.to)) / 2.0
    }

    fn any(random: &mut Random) -> Self {
        // More light backgrounds than dark ones.
        let level = if random.percent(60) { random.range(150.0, 250.0) } else { random.range(5.0, 250.0) };
        let from = [(); 3].map(|()| (level + random.range(-28.0, 28.0)).clamp(0.0, 255.0));
        let near =
            |random: &mut Random, most: f32| from.map(|value| (value + random.range(-most, most)).clamp(0.0, 255.0));
        match random.below(10) {
            0..4 => Self { pattern: Pattern::Plain, from, to: from },
            4..7 => {
                let (right, sign) = (random.range(-1.0, 1.0), random.pick(&[-1.0, 1.0]));
                let down = sign * (1.0 - right.abs());
                Self { pattern: Pattern::Gradient { right, down }, from, to: near(random, 60.0) }
            }
            pattern => {
                let width = random.between(4, 12);
                let pattern = match pattern {
                    7 => Pattern::Stripes { width, upright: random.percent(50) },
                    8 => Pattern::Checks { width },
                    _ => Pattern::Dots { width },
                };
                Self { pattern, from, to: near(random, 14.0) }
            }
        }
    }

    /// Contrast score, at least 1 if shapes and text have enough contrast everywhere.
    fn score(&self, shapes: &[Rgb], text: Option<Rgb>) -> f32 {
        let middle = [0, 1, 2].map(|channel| (self.from[channel] + self.to[channel]) / 2.0);
        let mut score = f32::MAX;
        for own in [self.from, middle, self.to] {
            for &shape in shapes {
                score = score.min(distance(own, shape) / CONTRAST);
            }
            if let Some(text) = text {
                score = score.min((luma(own) - luma(text)).abs() / TEXT_CONTRAST);
            }
        }
        score
    }
}
