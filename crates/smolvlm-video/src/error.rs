//! The error type of this crate.

use std::io;
use std::path::PathBuf;

/// What can go wrong between a video and its frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is no video that can be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// There are no bytes.
    #[error("the video is empty (0 bytes)")]
    Empty,
    /// There are no frames.
    #[error("the video has no frames")]
    NoFrames,
    /// A file without moving pictures.
    #[error("there is no video stream in it, only {found}")]
    NoVideoStream {
        /// What there is, such as `audio`.
        found: String,
    },
    /// A folder without images.
    #[error(
        "there are no images in this folder (files such as frame1.png or 0001.jpg); a video can also be a single file"
    )]
    EmptyFolder,
    /// A folder whose image files cannot be read.
    #[error("none of the {files} image files in this folder can be read; the first one: {first}")]
    UnreadableFolder {
        /// How many there are.
        files: usize,
        /// The name of the first one, and why.
        first: String,
    },
    /// There are frames, but none of them is whole.
    #[error("the video is cut off before the end of its first frame; the download is incomplete")]
    NoWholeFrame,
    /// An MP4 file was cut off before its index.
    #[error("the index (moov) is missing; the download is incomplete")]
    MissingIndex,
    /// FFmpeg's programs, which decode containers, are not installed.
    #[error(
        "the program `{program}`, which reads video containers, was not found; install FFmpeg ({}), \
         or build with the cargo feature `ffmpeg` (`video` of the command). \
         Animated GIF, WebP and PNG and folders of images need no FFmpeg",
        install_command()
    )]
    NeedsFfmpeg {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
    },
    /// The video is damaged, or uses what its decoder does not know.
    #[error("the video cannot be decoded: {message}")]
    Decode {
        /// What the decoder said.
        message: String,
    },
    /// A frame that the index promises cannot be had.
    #[error("frame {index} of {frames} cannot be decoded; the video is damaged or cut off")]
    MissingFrame {
        /// Its place in the order of showing, from 0.
        index: usize,
        /// Frames that the video should have.
        frames: usize,
    },
    /// The video is larger than the limits allow.
    #[error("{what} is {found}, more than the limit of {limit}, which {raise} raises")]
    Limit {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        limit: u64,
        /// The option of the command, if there is one, and the field of [`Limits`](crate::Limits) that raise the limit.
        raise: &'static str,
    },
    /// A video without times, of which every frame would be used, has more frames than may become tiles.
    #[error(
        "these {frames} images have no times, so all of them would be used, more than the limit of {limit}; ask for a number of \
         frames (--video-frames 64, or Options::video_frames), which are then sampled evenly, or raise \
         Limits::max_sampled_frames"
    )]
    TooManyImages {
        /// How many there are.
        frames: usize,
        /// How many may be used.
        limit: usize,
    },
    /// Time ran out.
    #[error("the video was not decoded within {seconds} s; sample fewer frames, or raise the deadline")]
    Deadline {
        /// Seconds that were allowed.
        seconds: f64,
    },
    /// A frame could not be decoded or resized.
    #[error("frame {index}: {source}")]
    Frame {
        /// Its place in the order of showing, from 0.
        index: usize,
        /// The image crate's error.
        source: smolvlm_image::Error,
    },
    /// The configuration cannot be used.
    #[error("video processor: {source}")]
    Processor {
        /// The image crate's error.
        source: smolvlm_image::Error,
    },
    /// A video processor that is not to resize. Frames could not be put into one tensor.
    #[error("do_resize is false in the video processor's configuration; frames have to become tiles of one size")]
    NotResized,
}

/// How FFmpeg is installed on this system.
const fn install_command() -> &'static str {
    if cfg!(target_os = "macos") {
        "`brew install ffmpeg`"
    } else if cfg!(windows) {
        "`winget install ffmpeg`"
    } else {
        "Debian and Ubuntu: `apt install ffmpeg`, Fedora: `dnf install ffmpeg-free`, Arch: `pacman -S ffmpeg`"
    }
}

impl Error {
    /// The same error about a file.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        match self {
            named @ (Self::Io { .. } | Self::File { .. }) => named,
            other => Self::File { path: path.to_owned(), source: Box::new(other) },
        }
    }
}
