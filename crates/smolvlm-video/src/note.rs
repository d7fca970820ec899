//! Warnings about usable videos.

use crate::Ratio;
use std::fmt;

/// Prefix of the note on a truncated file.
const TRUNCATED: &str = "the video file is cut off or damaged";

/// A warning for the user about a usable video.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoNote {
    /// The file is truncated or damaged; the frames before the damage are used.
    Truncated {
        /// Number of usable frames.
        frames: usize,
        /// Number of frames declared in the file's header, if it is larger.
        declared: Option<u64>,
    },
    /// The times of the frames are missing, all equal or implausibly close; a constant rate is assumed.
    UnusableTimes {
        /// Frames per second: the declared rate, or else 25.
        rate: Ratio,
    },
    /// Some image files of a folder are damaged or not images; the others are used.
    UnreadableImages {
        /// Number of skipped files.
        files: usize,
        /// The names of the first ones, each with the reason.
        shown: Vec<String>,
    },
}

impl fmt::Display for VideoNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { frames, declared: Some(declared) } => {
                write!(f, "{TRUNCATED}; the first {frames} of {declared} frames are used")
            }
            Self::Truncated { frames, declared: None } => {
                write!(f, "{TRUNCATED}; the {frames} frames that can be read are used")
            }
            Self::UnusableTimes { rate } => {
                let rate = (rate.as_f64() * 1000.0).round() / 1000.0;
                write!(f, "the time stamps of the video cannot be used; its frames are taken as {rate} per second")
            }
            Self::UnreadableImages { files, shown } => {
                let (noun, verb) = if *files == 1 { ("file", "is") } else { ("files", "are") };
                write!(
                    f,
                    "{files} image {noun} of the folder cannot be read and {verb} left out: {}",
                    shown.join(", ")
                )?;
                match files.saturating_sub(shown.len()) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}
