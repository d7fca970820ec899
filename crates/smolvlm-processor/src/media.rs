//! Sources to images and videos.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use smolvlm_image::{Rgb, dimensions, file_dimensions};
use smolvlm_video::{FrameImage, FrameSource, Frames, VideoInput};

use crate::error::{Error, Position};
use crate::limits::ProcessorLimits;
use crate::source::{ImageSource, VideoSource, scheme, shorten};

/// Standard base64; padding may be missing, as it often is in hand-made URLs.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where a file is, once URLs are fetched and base64 is decoded.
enum Place<'a> {
    Path(Cow<'a, Path>),
    Bytes(Cow<'a, [u8]>),
    Decoded(&'a Arc<Rgb>),
}

/// A decoded image, owned unless the source already held one.
pub(crate) fn load_image<'a>(
    source: &'a ImageSource,
    limits: &ProcessorLimits,
    at: Position,
) -> Result<Cow<'a, Rgb>, Error> {
    let image = match image_place(source, limits, at)? {
        Place::Decoded(image) => return Ok(Cow::Borrowed(image)),
        Place::Path(path) => smolvlm_image::decode_file(&path, &limits.image),
        Place::Bytes(bytes) => smolvlm_image::decode(&bytes, &limits.image),
    };
    image.map(Cow::Owned).map_err(|source| Error::Image { at, source })
}

/// Height and width of an image, from its header.
pub(crate) fn image_size(source: &ImageSource, limits: &ProcessorLimits, at: Position) -> Result<(u32, u32), Error> {
    let size = match image_place(source, limits, at)? {
        Place::Decoded(image) => Ok((image.height(), image.width())),
        Place::Path(path) => file_dimensions(&path, &limits.image),
        Place::Bytes(bytes) => dimensions(&bytes, &limits.image),
    };
    size.map_err(|source| Error::Image { at, source })
}

/// Opens a video; nothing is decoded yet.
pub(crate) fn open_video(
    source: &VideoSource,
    limits: &ProcessorLimits,
    at: Position,
) -> Result<Box<dyn FrameSource>, Error> {
    let most = limits.max_video_bytes;
    let video = |source| Error::Video { at, source: Box::new(source) };
    let place = match source {
        VideoSource::Path(path) => Place::Path(Cow::Borrowed(path)),
        VideoSource::Bytes(bytes) => Place::Bytes(Cow::Borrowed(bytes)),
        VideoSource::Base64(text) => base64_place(text, most, at)?,
        VideoSource::Url(url) => url_place(url, most, limits, at)?,
        VideoSource::Frames(list) => {
            let image = |source: &ImageSource| {
                Ok(match image_place(source, limits, at)? {
                    Place::Path(path) => FrameImage::Path(path.into_owned()),
                    Place::Bytes(bytes) => FrameImage::Bytes(bytes.into()),
                    Place::Decoded(image) => FrameImage::Decoded(image.clone()),
                })
            };
            let images = list.images.iter().map(image).collect::<Result<_, Error>>()?;
            return Ok(Box::new(Frames::new(images, list.fps, list.duration, &limits.video).map_err(video)?));
        }
    };
    let opened = match place {
        Place::Path(path) => smolvlm_video::open(VideoInput::Path(&path), &limits.video),
        Place::Bytes(bytes) => smolvlm_video::open(VideoInput::Bytes(bytes.into()), &limits.video),
        Place::Decoded(_) => return Err(video(smolvlm_video::Error::NoFrames)),
    };
    opened.map_err(video)
}

fn image_place<'a>(source: &'a ImageSource, limits: &ProcessorLimits, at: Position) -> Result<Place<'a>, Error> {
    let most = limits.image.max_bytes;
    match source {
        ImageSource::Decoded(image) => Ok(Place::Decoded(image)),
        ImageSource::Path(path) => Ok(match inline_image(path, most, at) {
            Some(bytes) => Place::Bytes(Cow::Owned(bytes)),
            None => Place::Path(Cow::Borrowed(path)),
        }),
        ImageSource::Bytes(bytes) => Ok(Place::Bytes(Cow::Borrowed(bytes))),
        ImageSource::Base64(text) => base64_place(text, most, at),
        ImageSource::Url(url) => url_place(url, most, limits, at),
    }
}

fn base64_place<'a>(text: &str, most: u64, at: Position) -> Result<Place<'a>, Error> {
    let bytes = match scheme(text) {
        Some("data") => data_url(text, most, at)?,
        _ => base64_bytes(text, most, at)?,
    };
    Ok(Place::Bytes(Cow::Owned(bytes)))
}

fn url_place<'a>(url: &str, most: u64, limits: &ProcessorLimits, at: Position) -> Result<Place<'a>, Error> {
    match scheme(url) {
        Some("data") => Ok(Place::Bytes(Cow::Owned(data_url(url, most, at)?))),
        Some("file") => Ok(Place::Path(Cow::Owned(file_path(url, at)?))),
        Some("http" | "https") => Ok(Place::Bytes(Cow::Owned(http(url, most, limits, at)?))),
        _ => Err(url_error(url, at, "known schemes are data:, file:, http: and https:")),
    }
}

/// The reference takes a string at which no file lies for base64. So do we, if it decodes to something that begins like an
/// image file; otherwise the missing file is what the caller should hear about.
fn inline_image(path: &Path, most: u64, at: Position) -> Option<Vec<u8>> {
    const SIGNATURES: [&[u8]; 7] = [b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*"];
    const SHORTEST: usize = 32;
    let text = path.to_str()?;
    if text.len() < SHORTEST || path.exists() {
        return None;
    }
    let bytes = base64_bytes(text, most, at).ok()?;
    SIGNATURES.iter().any(|signature| bytes.starts_with(signature)).then_some(bytes)
}

fn base64_bytes(text: &str, limit: u64, at: Position) -> Result<Vec<u8>, Error> {
    let spaces = text.bytes().filter(u8::is_ascii_whitespace).count();
    if (text.len() - spaces) as u64 / 4 * 3 > limit {
        return Err(Error::TooLarge { what: format!("{at}base64 data"), limit });
    }
    let text = match spaces {
        0 => Cow::Borrowed(text.as_bytes()),
        _ => text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect(),
    };
    BASE64.decode(text).map_err(|error| Error::Base64 { at, message: error.to_string() })
}

/// `data:[type][;parameters][;base64],data` (RFC 2397). The type is not believed: the image decoder looks for itself.
fn data_url(url: &str, most: u64, at: Position) -> Result<Vec<u8>, Error> {
    let parts = url.split_once(':').and_then(|(_, rest)| rest.split_once(','));
    let Some((header, data)) = parts else {
        return Err(url_error(url, at, "a data: URL needs a comma before its data"));
    };
    let is_base64 = header.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
    let data = match data.contains('%') {
        true => Cow::Owned(percent_decode(data, url, at)?),
        false => Cow::Borrowed(data.as_bytes()),
    };
    if is_base64 {
        let text = std::str::from_utf8(&data).map_err(|_| url_error(url, at, "is not text"))?;
        return base64_bytes(text, most, at);
    }
    Ok(data.into_owned())
}

/// `file:///path` or `file://localhost/path`, percent-decoded.
pub(crate) fn file_path(url: &str, at: Position) -> Result<PathBuf, Error> {
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !(host.is_empty() || host.eq_ignore_ascii_case("localhost")) {
                return Err(url_error(url, at, "a file: URL cannot name another host"));
            }
            path
        }
        None => rest,
    };
    let path =
        String::from_utf8(percent_decode(path, url, at)?).map_err(|_| url_error(url, at, "the path is not UTF-8"))?;
    if path.is_empty() || path.contains('\0') {
        return Err(url_error(url, at, "the path is empty or holds a zero byte"));
    }
    // `file:///C:/x.png` names `C:/x.png`.
    let drive = cfg!(windows) && path.as_bytes().get(2) == Some(&b':');
    Ok(PathBuf::from(if drive { path.trim_start_matches('/') } else { path.as_str() }))
}

fn percent_decode(text: &str, url: &str, at: Position) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(url_error(url, at, "% must be followed by two hexadecimal digits")),
        }
    }
    Ok(out)
}

fn url_error(url: &str, at: Position, reason: &str) -> Error {
    Error::Url { at, url: shorten(url), reason: reason.to_owned() }
}

#[cfg(feature = "http")]
use crate::http::get as http;

#[cfg(not(feature = "http"))]
fn http(url: &str, _most: u64, _limits: &ProcessorLimits, at: Position) -> Result<Vec<u8>, Error> {
    Err(url_error(url, at, "this build cannot fetch over HTTP; enable the cargo feature `http`"))
}
