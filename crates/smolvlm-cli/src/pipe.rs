//! Images and videos from a pipe.

use crate::failure::Failure;
use smolvlm::processor::MediaKind;
use smolvlm::{Content, ProcessorLimits};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Cursor, IsTerminal, Read};
use std::path::Path;

/// Number of bytes after which unrecognized data is rejected.
const HEAD: u64 = 1 << 20;

/// Reads an image or video from a named pipe, or from stdin for `-`; none if the path is something else.
///
/// # Errors
///
/// A pipe that cannot be read, or that exceeds the size limit of videos.
pub fn read(place: &OsStr, as_video: bool) -> Result<Option<Content>, Failure> {
    let path = Path::new(place);
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let pipe: Box<dyn Read> = match place.to_str() {
        Some("-") if io::stdin().is_terminal() => {
            return Err(failed(io::Error::other("stdin is a terminal; redirect a file or a pipe to it")));
        }
        Some("-") => Box::new(io::stdin().lock()),
        _ if is_pipe(path) => Box::new(File::open(path).map_err(failed)?),
        _ => return Ok(None),
    };
    let bytes = read_media(pipe, as_video).map_err(failed)?;
    let is_video = as_video || kind(&bytes) == Some(MediaKind::Video);
    Ok(Some(if is_video { Content::Video(bytes.into()) } else { Content::Image(bytes.into()) }))
}

/// Reads all bytes, or only the first ones if they are neither an image nor a video.
fn read_media(pipe: impl Read, as_video: bool) -> io::Result<Vec<u8>> {
    let limit = ProcessorLimits::default().max_video_bytes;
    let mut pipe = pipe.take(HEAD);
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes)?;
    if as_video || kind(&bytes).is_some() {
        pipe.set_limit(limit + 1 - bytes.len() as u64);
        pipe.read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("more than {limit} bytes; use a file instead")));
    }
    Ok(bytes)
}

fn kind(bytes: &[u8]) -> Option<MediaKind> {
    MediaKind::of_bytes(&mut Cursor::new(bytes), "").ok().flatten()
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}
