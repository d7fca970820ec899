//! The error type of this crate.

use std::io;
use std::path::PathBuf;

/// Errors of opening, decoding and processing videos.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file is not a usable video.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<Error>,
    },
    /// The input is empty.
    #[error("the video is empty (0 bytes)")]
    Empty,
    /// The video has no frames.
    #[error("the video has no frames")]
    NoFrames,
    /// A file without a video stream.
    #[error("there is no video stream in it, only {found}")]
    NoVideoStream {
        /// The kinds of streams in the file, such as `audio`.
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
        /// Number of image files.
        files: usize,
        /// The name of the first one and the reason.
        first: String,
    },
    /// A file that is truncated before the end of its first frame.
    #[error("the video is cut off before the end of its first frame; the download is incomplete")]
    NoCompleteFrame,
    /// An MP4 file that is truncated before its index.
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
    /// The video is damaged or uses an unsupported feature.
    #[error("the video cannot be decoded: {message}")]
    Decode {
        /// The decoder's message.
        message: String,
    },
    /// A frame of the index cannot be decoded.
    #[error("frame {index} of {frames} cannot be decoded; the video is damaged or cut off")]
    MissingFrame {
        /// Index of the frame in display order, from 0.
        index: usize,
        /// Number of frames in the index.
        frames: usize,
    },
    /// The video exceeds a limit.
    #[error("{what} is {found}, more than the limit of {limit}, which {raise} raises")]
    Limit {
        /// The limited quantity, with its unit.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The limit.
        limit: u64,
        /// The CLI option, if there is one, and the field of [`Limits`](crate::Limits) that raise the limit.
        raise: &'static str,
    },
    /// A video without times, all of whose frames would be used, has more than the maximum number of sampled frames.
    #[error(
        "these {frames} images have no times, so all of them would be used, more than the limit of {limit}; request a \
         number of frames (--video-frames 64, or Options::video_frames), which are then sampled evenly, or raise \
         Limits::max_sampled_frames"
    )]
    TooManyImages {
        /// Number of images.
        frames: usize,
        /// Maximum number of sampled frames.
        limit: usize,
    },
    /// The deadline was exceeded.
    #[error("the video was not decoded within {seconds} s; sample fewer frames, or raise the deadline")]
    Deadline {
        /// Time limit in seconds.
        seconds: f64,
    },
    /// The work was cancelled by [`Limits::cancel`](crate::Limits::cancel).
    #[error("cancelled")]
    Cancelled,
    /// A frame could not be decoded or resized.
    #[error("frame {index}: {source}")]
    Frame {
        /// Index of the frame in display order, from 0.
        index: usize,
        /// The image crate's error.
        source: smolvlm_image::Error,
    },
    /// An invalid configuration.
    #[error("video processor: {source}")]
    Processor {
        /// The image crate's error.
        source: smolvlm_image::Error,
    },
    /// A video processor without resizing, for which frames do not have a common size.
    #[error("do_resize is false in the video processor's configuration; frames must be resized to tiles of one size")]
    NotResized,
}

impl Error {
    /// Whether the work was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// Whether the video is readable but exceeds a limit.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Limit { .. } | Self::TooManyImages { .. } | Self::Deadline { .. })
            || matches!(self, Self::Frame { source: smolvlm_image::Error::Limit { .. }, .. })
    }
}

/// The command that installs FFmpeg on this system.
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
    /// Adds the path of the file, unless the error has one.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        match self {
            named @ (Self::Io { .. } | Self::File { .. } | Self::Cancelled) => named,
            other => Self::File { path: path.to_owned(), source: Box::new(other) },
        }
    }
}
