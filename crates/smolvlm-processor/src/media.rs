//! Opening of media sources: the only place where files, URLs and inline data are read and the media policy is
//! enforced.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use smolvlm_config::TilePlan;
use smolvlm_image::{Rgb, dimensions, file_dimensions};
use smolvlm_video::{
    Cancel, FrameFolder, FrameImage, FrameSource, Frames, Limits as VideoLimits, MediaKind, VideoInput, frame_files,
};

use crate::error::{Error, Position};
use crate::files::{confined, file_path, nameless_image, nameless_video};
use crate::inline::{base64, data_url, image_in_path};
use crate::jpeg_header;
use crate::limits::ProcessorLimits;
use crate::media_kind::{kind_of_bytes, media_kind};
use crate::media_options::MediaOptions;
use crate::message::Content;
use crate::plan::{Media, MediaPlan};
use crate::policy::MediaPolicy;
use crate::process::Source;
use crate::processor::Processor;
use crate::source::{FrameList, ImageSource, VideoSource, scheme};

/// Opens the media of one batch within the policy and tracks the total size and download time.
pub(crate) struct Opener<'a> {
    policy: &'a MediaPolicy,
    limits: &'a ProcessorLimits,
    /// Whether only headers are needed, so that downloads may stop after them.
    headers_only: bool,
    /// Whether the model takes no media.
    text_only: bool,
    cancel: Cancel,
    /// Limits of videos, with the token.
    videos: VideoLimits,
    /// Total size of encoded media in memory in bytes.
    bytes: u64,
    /// Total download time.
    #[cfg(feature = "http")]
    waited: std::time::Duration,
}

/// An opened image or video, whose header and pixels can be read without opening it again.
pub(crate) enum Opened<'c> {
    Image(File<'c>),
    Video {
        frames: Box<dyn FrameSource>,
        /// Whether errors may contain file names.
        names_files: bool,
    },
    Known(&'c MediaPlan),
}

/// An encoded image or video after download and base64 decoding, or decoded pixels.
pub(crate) enum File<'c> {
    Path {
        path: Cow<'c, Path>,
        /// Whether errors may contain the path.
        is_named: bool,
    },
    Bytes(Cow<'c, [u8]>),
    Decoded(&'c Arc<Rgb>),
}

impl<'a> Opener<'a> {
    pub(crate) fn new(processor: &'a Processor, cancel: Cancel) -> Self {
        let opener = Self::within(processor.media_policy(), processor.limits(), cancel);
        Self { text_only: processor.is_text_only(), ..opener }
    }

    /// An opener with this policy and these limits.
    pub(crate) fn within(policy: &'a MediaPolicy, limits: &'a ProcessorLimits, cancel: Cancel) -> Self {
        Self {
            policy,
            limits,
            headers_only: false,
            text_only: false,
            videos: VideoLimits { cancel: Some(cancel.clone()), ..limits.video.clone() },
            cancel,
            bytes: 0,
            #[cfg(feature = "http")]
            waited: std::time::Duration::ZERO,
        }
    }

    /// An opener for reading headers only: downloads may stop after them.
    pub(crate) fn headers_only(processor: &'a Processor) -> Self {
        Self { headers_only: true, ..Self::new(processor, Cancel::new()) }
    }

    /// The token that stops the work on what is opened.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Opens a medium. Reads the index of a video; does not read image files.
    pub(crate) fn open<'c>(&mut self, source: Source<'c>, at: Position) -> Result<Opened<'c>, Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if self.text_only {
            return Err(Error::TextOnly { at });
        }
        match source {
            Source::Image(source) => self.image(source, at).map(Opened::Image),
            Source::Video(source) => self.video(source, at),
            Source::Known(plan) => Ok(Opened::Known(plan)),
        }
    }

    fn image<'c>(&mut self, source: &'c ImageSource, at: Position) -> Result<File<'c>, Error> {
        self.policy.check_image(source, at)?;
        let limit = self.limits.image.max_bytes;
        let file = match source {
            ImageSource::Decoded(image) => return Ok(File::Decoded(image)),
            ImageSource::Path(path) if self.policy.folders.is_none() => match image_in_path(path, limit, at) {
                Some(bytes) => File::Bytes(bytes.into()),
                None => self.path(Cow::Borrowed(path), at)?,
            },
            ImageSource::Path(path) => self.path(Cow::Borrowed(path), at)?,
            ImageSource::Bytes(bytes) => File::Bytes(Cow::Borrowed(&**bytes)),
            ImageSource::Base64(text) => File::Bytes(base64(text, limit, at)?.into()),
            ImageSource::Url(url) => self.url(url, limit, self.headers_only, at)?,
        };
        self.counted(file)
    }

    fn video<'c>(&mut self, source: &'c VideoSource, at: Position) -> Result<Opened<'c>, Error> {
        self.policy.check_video(source, at)?;
        let limit = self.limits.max_video_bytes;
        let file = match source {
            VideoSource::Path(path) => self.path(Cow::Borrowed(path), at)?,
            VideoSource::Bytes(bytes) => File::Bytes(Cow::Borrowed(&**bytes)),
            VideoSource::Base64(text) => File::Bytes(base64(text, limit, at)?.into()),
            VideoSource::Url(url) => self.url(url, limit, false, at)?,
            VideoSource::Frames(list) => return self.frame_list(list, at),
        };
        let video = |source| video_error(source, true, at);
        match self.counted(file)? {
            File::Path { path, is_named: false } => self.confined_video(&path, at),
            File::Path { path, .. } => {
                let frames = smolvlm_video::open(VideoInput::Path(&path), &self.videos).map_err(video)?;
                Ok(Opened::Video { frames, names_files: true })
            }
            File::Bytes(bytes) => {
                let frames = smolvlm_video::open(VideoInput::Bytes(bytes.into()), &self.videos);
                Ok(Opened::Video { frames: frames.map_err(video)?, names_files: true })
            }
            File::Decoded(_) => Err(video(smolvlm_video::Error::NoFrames)),
        }
    }

    /// Downloads an `http:` or `https:` URL and detects whether it is an image or a video, from its content or
    /// otherwise from its name.
    pub(crate) fn fetched(&mut self, url: &str, at: Position) -> Result<Content, Error> {
        self.policy.check_image(&ImageSource::Url(url.to_owned()), at)?;
        let bytes = self.download(url, self.limits.max_video_bytes, false, at)?;
        let kind = kind_of_bytes(&bytes).unwrap_or_else(|| media_kind(url));
        Ok(match kind {
            MediaKind::Image => Content::Image(bytes.into()),
            MediaKind::Video => Content::Video(bytes.into()),
        })
    }

    fn frame_list<'c>(&mut self, list: &FrameList, at: Position) -> Result<Opened<'c>, Error> {
        let mut names_files = true;
        let mut images = Vec::with_capacity(list.images.len());
        for source in &list.images {
            images.push(match self.image(source, at)? {
                File::Path { path, is_named } => {
                    names_files &= is_named;
                    FrameImage::Path(path.into_owned())
                }
                File::Bytes(bytes) => FrameImage::Bytes(bytes.into()),
                File::Decoded(image) => FrameImage::Decoded(image.clone()),
            });
        }
        self.frames(images, list, names_files, at)
    }

    /// Opens a video inside the allowed folders. For a folder of frames, every file must be inside as well.
    fn confined_video<'c>(&mut self, path: &Path, at: Position) -> Result<Opened<'c>, Error> {
        let video = |source| video_error(source, false, at);
        if !path.is_dir() {
            let frames = smolvlm_video::open(VideoInput::Path(path), &self.videos).map_err(video)?;
            return Ok(Opened::Video { frames, names_files: false });
        }
        let folders = self.policy.folders.as_deref().unwrap_or_default();
        let files = frame_files(path, &self.videos).map_err(video)?;
        if files.is_empty() {
            return Err(video(smolvlm_video::Error::EmptyFolder));
        }
        let files = files.iter().map(|file| confined(file, folders, at)).collect::<Result<_, Error>>()?;
        let frames = FrameFolder::new(files, &self.videos).map_err(video)?;
        Ok(Opened::Video { frames: Box::new(frames), names_files: false })
    }

    fn frames<'c>(
        &self,
        images: Vec<FrameImage>,
        list: &FrameList,
        names_files: bool,
        at: Position,
    ) -> Result<Opened<'c>, Error> {
        let frames = Frames::new(images, list.fps, list.duration, &self.videos);
        let frames = frames.map_err(|source| video_error(source, names_files, at))?;
        Ok(Opened::Video { frames: Box::new(frames), names_files })
    }

    fn path<'c>(&self, path: Cow<'c, Path>, at: Position) -> Result<File<'c>, Error> {
        Ok(match &self.policy.folders {
            None => File::Path { path, is_named: true },
            Some(folders) => File::Path { path: confined(&path, folders, at)?.into(), is_named: false },
        })
    }

    fn url<'c>(&mut self, url: &str, limit: u64, header_only: bool, at: Position) -> Result<File<'c>, Error> {
        match scheme(url) {
            Some("data") => Ok(File::Bytes(data_url(url, limit, at)?.into())),
            Some("file") => self.path(Cow::Owned(file_path(url, at)?), at),
            Some("http" | "https") => Ok(File::Bytes(self.download(url, limit, header_only, at)?.into())),
            _ => Err(Error::unknown_scheme(url, at)),
        }
    }

    #[cfg(feature = "http")]
    fn download(&mut self, url: &str, limit: u64, header_only: bool, at: Position) -> Result<Vec<u8>, Error> {
        use std::time::{Duration, Instant};
        let (total, start) = (Duration::from_secs(self.policy.max_total_seconds), Instant::now());
        let left = total.saturating_sub(self.waited).min(self.limits.http_timeout);
        let room = self.policy.max_total_bytes.saturating_sub(self.bytes);
        let download = crate::http::Download {
            policy: self.policy,
            limit: limit.min(room),
            redirects: self.limits.http_redirects,
            // A timeout too large to be added to the clock is replaced by one year.
            deadline: start.checked_add(left).unwrap_or(start + Duration::from_secs(365 * 24 * 3600)),
            is_enough: &|bytes| header_only && jpeg_header::is_complete(bytes),
            cancel: &self.cancel,
            at,
        };
        let result = download.fetch(url);
        self.waited += start.elapsed();
        match result {
            Err(Error::TooLarge { .. }) if room < limit => Err(self.too_many_bytes()),
            result => result,
        }
    }

    #[cfg(not(feature = "http"))]
    fn download(&mut self, url: &str, _: u64, _: bool, at: Position) -> Result<Vec<u8>, Error> {
        Err(Error::url(url, at, "this build cannot fetch over HTTP; enable the cargo feature `http`"))
    }

    fn counted<'c>(&mut self, file: File<'c>) -> Result<File<'c>, Error> {
        if let File::Bytes(bytes) = &file {
            self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        }
        if self.bytes > self.policy.max_total_bytes { Err(self.too_many_bytes()) } else { Ok(file) }
    }

    fn too_many_bytes(&self) -> Error {
        Error::TooLarge { what: "the sum of all media".to_owned(), limit: self.policy.max_total_bytes }
    }
}

impl Opened<'_> {
    /// The plan of the medium, computed from its header.
    pub(crate) fn plan(&self, processor: &Processor, options: MediaOptions, at: Position) -> Result<MediaPlan, Error> {
        match self {
            Self::Known(plan) => Ok((*plan).clone()),
            Self::Image(file) => {
                let (height, width) = file.dimensions(processor.limits(), at)?;
                let plan = TilePlan::new(height, width, processor.images_with(options, at)?.config());
                Ok(MediaPlan::Image(plan.map_err(|error| Error::Image { at, source: error.into() })?.grid))
            }
            Self::Video { frames, names_files } => {
                let plan = processor.videos_with(options, at)?.plan(frames.as_ref());
                plan.map(MediaPlan::Video).map_err(|source| video_error(source, *names_files, at))
            }
        }
    }

    /// Decodes and preprocesses the medium.
    pub(crate) fn load(self, processor: &Processor, options: MediaOptions, at: Position) -> Result<Media, Error> {
        match self {
            Self::Known(plan) => Ok(Media::Precomputed(plan.clone())),
            Self::Image(file) => {
                let image = file.decode(processor.limits(), at)?;
                let tiles = processor.images_with(options, at)?.process(&image);
                tiles.map(Media::Image).map_err(|source| Error::Image { at, source })
            }
            Self::Video { mut frames, names_files } => {
                let tiles = processor.videos_with(options, at)?.process(frames.as_mut());
                tiles.map(Media::Video).map_err(|source| video_error(source, names_files, at))
            }
        }
    }
}

impl File<'_> {
    /// Height and width.
    fn dimensions(&self, limits: &ProcessorLimits, at: Position) -> Result<(u32, u32), Error> {
        let size = match self {
            Self::Decoded(image) => Ok((image.height(), image.width())),
            Self::Path { path, .. } => {
                let from_header = jpeg_header::of_file(path).and_then(|header| dimensions(&header, &limits.image).ok());
                from_header.map_or_else(|| file_dimensions(path, &limits.image), Ok)
            }
            Self::Bytes(bytes) => dimensions(bytes, &limits.image),
        };
        size.map_err(|source| self.image_error(source, at))
    }

    /// Decodes the pixels; borrowed if the source is already decoded.
    fn decode(&self, limits: &ProcessorLimits, at: Position) -> Result<Cow<'_, Rgb>, Error> {
        let image = match self {
            Self::Decoded(image) => return Ok(Cow::Borrowed(image)),
            Self::Path { path, .. } => smolvlm_image::decode_file(path, &limits.image),
            Self::Bytes(bytes) => smolvlm_image::decode(bytes, &limits.image),
        };
        image.map(Cow::Owned).map_err(|source| self.image_error(source, at))
    }

    /// The pixels; shared if the source is already decoded.
    pub(crate) fn into_pixels(self, limits: &ProcessorLimits, at: Position) -> Result<Arc<Rgb>, Error> {
        match self {
            Self::Decoded(image) => Ok(image.clone()),
            file => Ok(Arc::new(file.decode(limits, at)?.into_owned())),
        }
    }

    /// Detects the kind of the file.
    fn kind(&self) -> Option<MediaKind> {
        match self {
            Self::Path { path, .. } => MediaKind::of_path(path),
            Self::Bytes(bytes) => kind_of_bytes(bytes),
            Self::Decoded(_) => None,
        }
    }

    fn image_error(&self, source: smolvlm_image::Error, at: Position) -> Error {
        if is_unknown(&source) && self.kind() == Some(MediaKind::Video) {
            return Error::IsVideo { at };
        }
        let is_hidden = matches!(self, Self::Path { is_named: false, .. });
        Error::Image { at, source: if is_hidden { nameless_image(source) } else { source } }
    }
}

/// Whether the image format was not recognized.
fn is_unknown(error: &smolvlm_image::Error) -> bool {
    match error {
        smolvlm_image::Error::File { source, .. } => is_unknown(source),
        other => matches!(other, smolvlm_image::Error::UnknownFormat),
    }
}

fn video_error(source: smolvlm_video::Error, names_files: bool, at: Position) -> Error {
    if source.is_cancelled() {
        return Error::Cancelled;
    }
    Error::Video { at, source: Box::new(if names_files { source } else { nameless_video(source) }) }
}
