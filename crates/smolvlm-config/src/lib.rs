//! Configuration files, presets and tile geometry of the SmolVLM family.
//!
//! This crate parses and validates the JSON files of a checkpoint. [`ModelConfig`] is `config.json`,
//! [`ProcessorConfig`] combines the files of the image and video processors, [`GenerationConfig`] is
//! `generation_config.json`. Both old and new key names are supported, and errors contain the key path.
//!
//! [`TilePlan`] is the geometry of an image: the sizes to which it is resized and the [`TileGrid`] into which it is
//! split. Prompts and pixel values are both derived from it, so they always agree.
//!
//! ```
//! use smolvlm_config::{Preset, TilePlan};
//!
//! let model = Preset::Smol256M.model();
//! let processor = Preset::Smol256M.processor();
//! let plan = TilePlan::new(480, 640, &processor.image)?;
//! assert_eq!((plan.grid.rows, plan.grid.cols), (3, 4));
//! assert_eq!(plan.grid.image_tokens(model.image_seq_len()), 832);
//! # Ok::<(), smolvlm_config::Error>(())
//! ```
//!
//! Behavior follows transformers 5.24.0. Configurations for which that version fails later, in the model or processor,
//! are rejected when they are read.

mod activation;
mod check;
mod error;
mod float_type;
mod generation;
mod generation_json;
mod generation_parts;
mod grid;
mod image;
mod json;
mod model;
mod parameters;
mod preset;
mod processor;
mod prompts;
mod resize_policy;
mod rope;
mod size;
mod template;
mod text;
mod video;
mod vision;

pub use activation::Activation;
pub use error::Error;
pub use float_type::FloatType;
pub use generation::{DEFAULT_MAX_NEW_TOKENS, GenerationConfig};
pub use generation_parts::{CacheImplementation, EarlyStopping, ExponentialDecay, SequenceBias, Watermarking};
pub use grid::{MAX_LONGEST_EDGE, TileGrid, TilePlan};
pub use image::ImageProcessorConfig;
pub use json::{MAX_FILE_BYTES, without_byte_order_mark};
pub use model::ModelConfig;
pub use preset::Preset;
pub use processor::ProcessorConfig;
pub use prompts::DefaultPrompts;
pub use resize_policy::ResizePolicy;
pub use rope::RopeParameters;
pub use size::{Resample, Size};
pub use text::TextConfig;
pub use video::VideoProcessorConfig;
pub use vision::VisionConfig;
