//! Videos to SmolVLM frames, sampled and resized as the reference does it.
//!
//! A [`FrameSource`] knows its [`VideoMetadata`] before any pixel is decoded; a [`FramePlan`] says from that which frames
//! are wanted; only those are decoded, one at a time, and each becomes one tile.
//!
//! ```no_run
//! use smolvlm_config::Preset;
//! use smolvlm_video::{Limits, VideoInput, VideoProcessor, open};
//!
//! let processor = VideoProcessor::new(Preset::Smol256M.processor().video)?;
//! let mut source = open(VideoInput::Path("clip.gif".as_ref()), &Limits::default())?;
//! let video = processor.process(source.as_mut())?;
//! for stamp in &video.plan.stamps {
//!     println!("frame {} at {} s", stamp.index, stamp.seconds(video.plan.metadata.fps));
//! }
//! # Ok::<(), smolvlm_video::Error>(())
//! ```
//!
//! The reference is `SmolVLMVideoProcessor` of transformers 5.23.0. Its sampling counts decoded frames, whatever their
//! times; the times of the frames here are the stream's own, so that they are right for variable frame rates, too.
//!
//! # Sources
//!
//! Animated GIF, WebP and PNG files, folders and lists of images, and decoded frames need no system library. Containers
//! (MP4, MKV, WebM, AVI, MPEG-TS, ...) need the cargo feature `ffmpeg` and FFmpeg 5.1 or newer.
//!
//! # Memory
//!
//! One decoded frame at a time, whatever the length of the video; a container's index takes 8 bytes a frame. The tiles of
//! the sampled frames are all kept: their number is bounded by `num_frames` of the configuration.

mod animation;
#[cfg(feature = "ffmpeg")]
mod colour;
#[cfg(feature = "ffmpeg")]
mod container;
#[cfg(feature = "ffmpeg")]
mod display_matrix;
mod error;
mod frames;
#[cfg(feature = "ffmpeg")]
mod index;
mod limits;
mod open;
mod plan;
mod processor;
mod ratio;
mod source;

pub use error::Error;
pub use frames::{FrameImage, Frames, frame_files};
pub use limits::Limits;
pub use open::{VideoInput, open};
pub use plan::FramePlan;
pub use processor::{VideoPlan, VideoProcessor, VideoTiles};
pub use ratio::Ratio;
pub use source::{FrameSink, FrameSource, FrameStamp, VideoMetadata};
