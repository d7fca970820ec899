#![doc = include_str!("../README.md")]
//!
//! # Reference
//!
//! The reference is `SmolVLMVideoProcessor` of transformers 5.24.0. Its sampling counts decoded frames, whatever their
//! times; the times of the frames here are the stream's own, so that they are right for variable frame rates, too.
//!
//! # Sources
//!
//! Animated GIF, WebP and PNG files, folders and lists of images, and decoded frames need nothing else. Containers
//! (MP4, MKV, WebM, AVI, MPEG-TS, ...) and raw streams are decoded by FFmpeg 5.1 or newer: with the cargo feature
//! `ffmpeg` by its libraries, and otherwise by the programs `ffprobe` and `ffmpeg`, where they are installed. Both give
//! the same frames, times and pixels. [`MediaKind`] tells images from videos.
//!
//! # Damage
//!
//! Of a file that is cut off, the frames before that are used, and [`VideoPlan::notes`] says so. A time that is missing
//! or wrong is interpolated between its neighbors; where a clock starts again, as in joined recordings, it continues.
//! Images of a folder that cannot be read are left out.
//!
//! # Memory
//!
//! One decoded frame at a time (with the programs three), whatever the length of the video; a container's index takes
//! 16 bytes per frame. The tiles of the sampled frames are all kept: their number is bounded by `num_frames` of the
//! configuration.

mod animation;
mod cancel;
#[cfg(feature = "ffmpeg")]
mod color;
mod container;
mod display_matrix;
mod error;
mod folder;
mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
mod index;
mod isolation;
#[cfg(feature = "ffmpeg")]
mod libraries;
mod limits;
mod matrix;
mod note;
mod open;
mod plan;
mod processor;
mod programs;
mod ratio;
mod sniff;
mod source;
mod structure;
mod timeline;

pub use cancel::Cancel;
pub use error::Error;
pub use folder::{FrameFolder, frame_files};
pub use frames::{FrameImage, Frames};
pub use isolation::Isolation;
pub use limits::Limits;
pub use note::VideoNote;
pub use open::{VideoInput, open, open_with_programs};
pub use plan::FramePlan;
pub use processor::{VideoPlan, VideoProcessor, VideoTiles};
pub use ratio::Ratio;
pub use smolvlm_config::{
    Error as ConfigError, PixelConfig, Preset, ProcessorConfig, Resample, Size, VideoProcessorConfig,
};
pub use smolvlm_image::{Error as ImageError, Limits as ImageLimits, Rgb};
pub use sniff::MediaKind;
pub use source::{FrameSink, FrameSource, FrameStamp, VideoMetadata};
