#![doc = include_str!("../README.md")]
//!
//! # Contents
//!
//! [`ModelConfig`] is `config.json`, [`ProcessorConfig`] combines the files of the image and video processors,
//! [`GenerationConfig`] is `generation_config.json`; errors contain the key path. [`TilePlan`] is the geometry of an
//! image: the sizes to which it is resized and the [`TileGrid`] into which it is split.
//!
//! Behavior follows transformers 5.24.0. Configurations for which that version fails later, in the model or processor,
//! are rejected when they are read.

mod check;
mod error;
mod float_type;
mod generation;
mod generation_json;
mod generation_parts;
mod grid;
mod hidden_act;
mod image;
mod json;
mod model;
mod parameters;
mod pixels;
mod preset;
mod processor;
mod prompts;
mod resize_policy;
mod rope;
mod size;
mod template;
mod text;
mod text_file;
mod video;
mod vision;

pub use error::Error;
pub use float_type::FloatType;
pub use generation::{DEFAULT_MAX_NEW_TOKENS, GenerationConfig};
pub use generation_parts::{CacheImplementation, EarlyStopping, ExponentialDecay, SequenceBias, Watermarking};
pub use grid::{MAX_LONGEST_EDGE, TileGrid, TilePlan};
pub use hidden_act::HiddenAct;
pub use image::ImageProcessorConfig;
pub use model::ModelConfig;
pub use pixels::PixelConfig;
pub use preset::Preset;
pub use processor::ProcessorConfig;
pub use prompts::DefaultPrompts;
pub use resize_policy::ResizePolicy;
pub use rope::RopeParameters;
pub use size::{Resample, Size};
pub use text::TextConfig;
pub use text_file::{MAX_FILE_BYTES, read_text, without_byte_order_mark};
pub use video::VideoProcessorConfig;
pub use vision::VisionConfig;
