//! What the user of a video should know although its frames can be used.

use crate::Ratio;
use std::fmt;

/// What a note on a shortened file begins with.
const CUT_OFF: &str = "the video file is cut off or damaged";

/// Something about a video that its user should know, although its frames can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoNote {
    /// The file was cut off; the frames before that are used.
    EndsEarly {
        /// Frames that are used.
        frames: usize,
        /// Frames that the file's header announces, if it does and there are more.
        announced: Option<u64>,
    },
    /// The times of the frames are missing, all equal or too close to be meant; frames are taken at a constant rate.
    UnusableTimes {
        /// Frames per second: the stream's, or else 25.
        rate: Ratio,
    },
    /// Image files of a folder of frames are damaged or no images; the others are used.
    UnreadableImages {
        /// How many.
        files: usize,
        /// The names of the first ones, each with the reason.
        shown: Vec<String>,
    },
}

impl fmt::Display for VideoNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndsEarly { frames, announced: Some(announced) } => {
                write!(f, "{CUT_OFF}; the first {frames} of {announced} frames are used")
            }
            Self::EndsEarly { frames, announced: None } => {
                write!(f, "{CUT_OFF}; the {frames} frames that can be read are used")
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
