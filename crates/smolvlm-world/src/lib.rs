//! A procedural world to train and test a tiny SmolVLM in: pictures and clips, questions about them, and one right answer
//! each. Everything follows from a split and a number, the same on every machine.
//!
//! ```
//! use smolvlm_world::{Kind, Split, is_right, lesson, sample};
//!
//! let test = sample(Kind::Place, Split::Test, 7);
//! let turn = &test.turns[0];
//! assert!(turn.question.starts_with("Where") && is_right(turn, &turn.answer));
//! assert!((2..=6).contains(&lesson(Split::Train, 0).turns.len()));
//! ```
//!
//! Stills have 128x128 pixels (one in 16 stills of shapes has 128x96 or 96x128), clips 4 to 8 frames of 64x64 at one
//! frame a second. Small text has capitals 6 to 9 pixels high: it can be read in 64x64 tiles of a still, and not in a
//! global view of half its size.

mod background;
mod canvas;
mod chart;
mod clip;
mod color;
mod corpus;
mod error;
mod fact;
mod font;
mod glyphs;
mod held_out;
mod jsonl;
mod kind;
mod pair;
mod picture;
mod place;
mod random;
mod reading;
mod sample;
mod scene;
mod scene_facts;
mod shape;
mod shapes;
mod split;
mod story;
#[cfg(test)]
mod tests;
mod words;

pub use corpus::vocabulary_corpus;
pub use error::Error;
pub use jsonl::write_jsonl;
pub use kind::Kind;
pub use picture::{Medium, Picture};
pub use sample::{
    Sample, Turn, close_lines, close_up, drill, few_characters, is_right, lesson, lesson_about, lone_shape,
    long_lesson, page, sample,
};
pub use split::Split;
