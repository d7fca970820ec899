//! A procedural data generator to train and test a tiny SmolVLM: images and clips, and questions with exactly one
//! correct answer. Samples are a deterministic function of a split and an index, the same on every machine.
//!
//! ```
//! use smolvlm_synth::{Kind, Split, is_right, mixed_sample, sample};
//!
//! let test = sample(Kind::Place, Split::Test, 7);
//! let turn = &test.turns[0];
//! assert!(turn.question.starts_with("Where") && is_right(turn, &turn.answer));
//! assert!((2..=6).contains(&mixed_sample(Split::Train, 0).turns.len()));
//! ```
//!
//! Images have 128x128 pixels (one in 16 images of shapes has 128x96 or 96x128), clips have 4 to 8 frames of 64x64 at
//! one frame per second. Small text has capitals 6 to 9 pixels high: it is legible in 64x64 tiles of an image, but not
//! in a global view at half the resolution.

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
mod scene_spec;
mod shape;
mod shapes;
mod split;
#[cfg(test)]
mod tests;
mod words;

pub use corpus::vocabulary_corpus;
pub use error::Error;
pub use jsonl::write_jsonl;
pub use kind::Kind;
pub use picture::{Medium, Picture};
pub use sample::{
    Sample, Turn, close_lines, close_up, few_characters, focused_sample, is_right, long_mixed_sample, mixed_sample,
    page, sample, sample_about, single_shape,
};
pub use split::Split;
