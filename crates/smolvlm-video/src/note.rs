//! What the user of a video should know although its frames can be used.

use std::fmt;

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
}

impl fmt::Display for VideoNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::EndsEarly { frames, announced } = self;
        write!(f, "the video file is cut off or damaged; ")?;
        match announced {
            Some(announced) => write!(f, "the first {frames} of {announced} frames are used"),
            None => write!(f, "the {frames} frames that can be read are used"),
        }
    }
}
