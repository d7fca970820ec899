//! Where images and videos come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smolvlm_image::Rgb;
use smolvlm_video::Ratio;

use crate::error::Position;
use crate::files::file_path;

/// Where an image comes from.
///
/// Strings convert as follows: what starts with `data:`, `file:`, `http:` or `https:` is a URL, anything else a path.
#[derive(Clone)]
#[non_exhaustive]
pub enum ImageSource {
    /// A file. As in the reference, a path at which no file lies may also be the image itself in base64.
    Path(PathBuf),
    /// A `file:`, `data:`, `http:` or `https:` URL; the last two need the cargo feature `http`.
    Url(String),
    /// An encoded image file (PNG, JPEG, ...) in base64, with or without a `data:` prefix.
    Base64(String),
    /// An encoded image file (PNG, JPEG, ...).
    Bytes(Vec<u8>),
    /// Decoded pixels.
    Decoded(Arc<Rgb>),
}

/// Where a video comes from.
///
/// Strings convert as they do for images.
#[derive(Clone)]
#[non_exhaustive]
pub enum VideoSource {
    /// A file, or a folder of frame images.
    Path(PathBuf),
    /// A `file:`, `data:`, `http:` or `https:` URL; the last two need the cargo feature `http`.
    Url(String),
    /// An encoded video file in base64, with or without a `data:` prefix.
    Base64(String),
    /// An encoded video file.
    Bytes(Vec<u8>),
    /// Frames, one by one.
    Frames(FrameList),
}

/// A video as a list of frames.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrameList {
    /// The frames in order.
    pub images: Vec<ImageSource>,
    /// Frames a second. With it they are sampled like those of any other video. Without it they are all used, unless
    /// [`Processor::sampling_images`](crate::Processor::sampling_images) is set, and the prompt counts their times at 24 frames a
    /// second, as the reference does.
    pub fps: Option<Ratio>,
    /// Seconds that the whole video lasts. Without it the prompt takes the time of the last frame for it.
    pub duration: Option<Ratio>,
}

impl FrameList {
    /// All of these frames.
    pub fn new<T: Into<ImageSource>>(images: impl IntoIterator<Item = T>) -> Self {
        Self { images: images.into_iter().map(Into::into).collect(), fps: None, duration: None }
    }

    /// Sets the frames a second.
    #[must_use]
    pub fn fps(mut self, fps: Ratio) -> Self {
        self.fps = Some(fps);
        self
    }

    /// Sets the length of the video in seconds.
    #[must_use]
    pub fn duration(mut self, duration: Ratio) -> Self {
        self.duration = Some(duration);
        self
    }
}

/// Data is shown by its size only.
impl fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&shorten(url)).finish(),
            Self::Base64(text) => write!(f, "Base64({} characters)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Decoded(rgb) => write!(f, "Decoded({}x{})", rgb.height(), rgb.width()),
        }
    }
}

/// Data is shown by its size only.
impl fmt::Debug for VideoSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&shorten(url)).finish(),
            Self::Base64(text) => write!(f, "Base64({} characters)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Frames(frames) => write!(f, "Frames({} frames)", frames.images.len()),
        }
    }
}

/// Enough of a URL to know which one it is: a `data:` URL may be megabytes long.
fn shorten(url: &str) -> String {
    const KEPT: usize = 100;
    match url.char_indices().nth(KEPT) {
        Some((end, _)) => url.get(..end).map_or_else(String::new, |head| format!("{head}...")),
        None => url.to_owned(),
    }
}

/// What errors show of a URL: scheme, host and port. Paths and queries often are secrets, and a `data:` URL
/// may be megabytes long.
pub(crate) fn origin(url: &str) -> String {
    const MAX_CHARS: usize = 100;
    let Some(scheme @ ("http" | "https")) = scheme(url) else {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = (1..=10).contains(&scheme.len()) && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return if is_scheme { format!("{scheme}:") } else { String::new() };
    };
    let rest = url.get(scheme.len() + 1..).unwrap_or_default().trim_start_matches(['/', '\\']);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{}", host.chars().take(MAX_CHARS).collect::<String>())
}

/// The scheme of a URL that an [`ImageSource::Url`] may have, if the text starts with one.
pub(crate) fn scheme(text: &str) -> Option<&'static str> {
    ["data", "file", "http", "https"].into_iter().find(|scheme| {
        let head = text.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme)) && text.as_bytes().get(scheme.len()) == Some(&b':')
    })
}

/// Whether a text is a URL and no path; its scheme may be one that cannot be read.
fn is_url(text: &str) -> bool {
    let has_scheme = |(scheme, _): (&str, &str)| {
        // One letter is a drive.
        scheme.len() > 1
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
    };
    scheme(text).is_some() || text.split_once("://").is_some_and(has_scheme)
}

/// The conversions that images and videos share.
macro_rules! conversions {
    ($source:ident) => {
        impl $source {
            /// The local file or folder that it names, by its path or a `file:` URL; none of anything else.
            pub fn local_path(&self) -> Option<PathBuf> {
                match self {
                    Self::Path(path) => Some(path.clone()),
                    Self::Url(url) if scheme(url) == Some("file") => file_path(url, Position::default()).ok(),
                    _ => None,
                }
            }
        }

        impl From<&str> for $source {
            fn from(text: &str) -> Self {
                Self::from(text.to_owned())
            }
        }

        impl From<String> for $source {
            fn from(text: String) -> Self {
                if is_url(&text) { Self::Url(text) } else { Self::Path(PathBuf::from(text)) }
            }
        }

        impl From<&Path> for $source {
            fn from(path: &Path) -> Self {
                Self::Path(path.to_owned())
            }
        }

        impl From<PathBuf> for $source {
            fn from(path: PathBuf) -> Self {
                Self::Path(path)
            }
        }

        impl From<Vec<u8>> for $source {
            fn from(bytes: Vec<u8>) -> Self {
                Self::Bytes(bytes)
            }
        }

        impl From<&[u8]> for $source {
            fn from(bytes: &[u8]) -> Self {
                Self::Bytes(bytes.to_vec())
            }
        }
    };
}

conversions!(ImageSource);
conversions!(VideoSource);

impl From<Rgb> for ImageSource {
    fn from(image: Rgb) -> Self {
        Self::Decoded(Arc::new(image))
    }
}

impl From<Arc<Rgb>> for ImageSource {
    fn from(image: Arc<Rgb>) -> Self {
        Self::Decoded(image)
    }
}

impl From<FrameList> for VideoSource {
    fn from(frames: FrameList) -> Self {
        Self::Frames(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_local_path() {
        for place in ["a b.png", "file:///a%20b.png", "FILE:a%20b.png"] {
            let path = ImageSource::from(place).local_path();
            assert_eq!(path.as_deref().and_then(Path::file_name), Some("a b.png".as_ref()), "{place}");
            assert_eq!(VideoSource::from(place).local_path(), path);
        }
        for place in ["http://h/a", "data:,a", "file://host/a"] {
            assert_eq!(ImageSource::from(place).local_path(), None, "{place}");
        }
    }

    #[test]
    fn strings_become_urls_or_paths() {
        for url in ["data:image/png;base64,AA==", "file:///a.png", "http://h/a", "HTTPS://h/a", "ftp://h/a", "s3://b/a"]
        {
            assert!(matches!(ImageSource::from(url), ImageSource::Url(_)), "{url}");
            assert!(matches!(VideoSource::from(url), VideoSource::Url(_)), "{url}");
        }
        for path in ["photo.jpg", "http_photo.png", "/tmp/data", "c:/x.png", "c://x.png/://", "", "://", "日本.png"] {
            assert!(matches!(ImageSource::from(path), ImageSource::Path(_)), "{path}");
        }
    }

    #[test]
    fn urls_are_shown_without_their_secrets() {
        for (url, shown) in [
            ("https://user:secret@example.com:8080/path?token=1#f", "https://example.com:8080"),
            ("HTTP://example.com", "http://example.com"),
            ("http://example.com?token=1", "http://example.com"),
            ("http://a\\@b/secret", "http://a"),
            ("file:///home/me/a.png", "file:"),
            ("data:image/png;base64,AAAA", "data:"),
            ("ftp://h/a.png", "ftp:"),
            ("a secret: that is no URL", ""),
            ("secret", ""),
        ] {
            assert_eq!(origin(url), shown, "{url}");
        }
    }

    #[test]
    fn debug_output_never_prints_the_data() {
        let long = format!("data:image/png;base64,{}", "A".repeat(10_000));
        for source in
            [ImageSource::from(long), ImageSource::Base64("A".repeat(10_000)), ImageSource::from(vec![0_u8; 10_000])]
        {
            assert!(format!("{source:?}").len() < 200);
        }
        assert!(format!("{:?}", VideoSource::from(vec![0_u8; 10_000])).len() < 200);
    }
}
