//! The pages of a document's inputs, decoded one at a time.

use super::pdf::{Pdf, PdfError};
use crate::failure::Failure;
use crate::pipe;
use smolvlm::image::{Rgb, file_dimensions};
use smolvlm::processor::{Error as ProcessorError, Position, Processor, load_image};
use smolvlm::{Content, ImageSource, MediaPolicy, ProcessorLimits};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of bytes at the start of a file in which a PDF says that it is one.
const PDF_HEAD: u64 = 1024;

/// An input that cannot become pages, or an option without effect on them.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A PDF file that cannot be read.
    #[error("{}: {source}", path.display())]
    Pdf {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: PdfError,
    },
    /// More pages than allowed.
    #[error("the inputs have more pages than --max-pages {limit} allows; raise it, or convert parts")]
    TooMany {
        /// The allowed number.
        limit: u32,
    },
    /// A video.
    #[error("{}: is a video; a page is an image or a PDF", path.display())]
    Video {
        /// The file.
        path: PathBuf,
    },
    /// A PDF file from a pipe.
    #[error("{}: a PDF cannot be read from a pipe; pass the path of a file", path.display())]
    PipedPdf {
        /// The pipe.
        path: PathBuf,
    },
    /// An option that has no effect.
    #[error("{option} has no effect on documents; leave it out")]
    Unused {
        /// The option.
        option: &'static str,
    },
}

/// One page before it is decoded.
enum Page {
    Image(ImageSource),
    /// A page of a PDF, numbered from 1.
    Pdf(Arc<Pdf>, u32),
}

/// The pages that are left.
pub struct Pages {
    left: VecDeque<Page>,
    total: usize,
}

impl Pages {
    /// Finds all pages, without decoding them. Of images, the headers are checked, except on the network.
    ///
    /// # Errors
    ///
    /// Pipes, PDF files and images that cannot be read, videos, and more than `limit` pages.
    pub fn open(inputs: &[OsString], dpi: u16, limit: u32, limits: &ProcessorLimits) -> Result<Self, Failure> {
        let mut left = VecDeque::new();
        for input in inputs {
            let path = Path::new(input);
            if is_pdf(path) {
                let error = |source| PageError::Pdf { path: path.to_owned(), source };
                let room = limit - u32::try_from(left.len()).unwrap_or(limit).min(limit);
                let pdf = Arc::new(Pdf::open(path, dpi, room.saturating_add(1)).map_err(error)?);
                left.extend((1..=pdf.pages()).map(|number| Page::Pdf(pdf.clone(), number)));
            } else {
                let image = image(input)?;
                check(&image, limits)?;
                left.push_back(Page::Image(image));
            }
            if left.len() > limit as usize {
                return Err(PageError::TooMany { limit }.into());
            }
        }
        Ok(Self { total: left.len(), left })
    }

    /// Number of all pages.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The next page's pixels; none after the last one.
    ///
    /// # Errors
    ///
    /// Images and pages that cannot be decoded.
    pub fn next(&mut self, processor: &Processor) -> Result<Option<Arc<Rgb>>, Failure> {
        let source = match self.left.pop_front() {
            None => return Ok(None),
            Some(Page::Image(source)) => source,
            Some(Page::Pdf(pdf, number)) => {
                let error = |source| PageError::Pdf { path: pdf.path().to_owned(), source };
                ImageSource::Bytes(pdf.render(number).map_err(error)?.into())
            }
        };
        let image = load_image(&source, processor.media_policy(), processor.limits()).map_err(smolvlm::Error::from)?;
        Ok(Some(image))
    }
}

/// The image of an argument: a pipe, path or URL.
fn image(input: &OsString) -> Result<ImageSource, Failure> {
    match pipe::read(input, false)? {
        Some(Content::Image(ImageSource::Bytes(bytes))) if has_pdf_head(&bytes) => {
            Err(PageError::PipedPdf { path: input.into() }.into())
        }
        Some(Content::Image(image)) => Ok(image),
        Some(_) => Err(PageError::Video { path: input.into() }.into()),
        None => Ok(input.to_str().map_or_else(|| ImageSource::Path(input.into()), ImageSource::from)),
    }
}

/// Checks an image, so that a mistake is found before other pages are converted.
fn check(image: &ImageSource, limits: &ProcessorLimits) -> Result<(), Failure> {
    let starts_with = |url: &str, scheme: &str| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    let checked = match (image, image.local_path()) {
        (ImageSource::Url(url), _) if starts_with(url, "http:") || starts_with(url, "https:") => Ok(()),
        (_, Some(path)) if path.exists() => match file_dimensions(&path, &limits.image) {
            Ok(_) => Ok(()),
            Err(source) => Err(ProcessorError::Image { at: Position::default(), source }),
        },
        _ => load_image(image, &MediaPolicy::default(), limits).map(|_| ()),
    };
    Ok(checked.map_err(smolvlm::Error::from)?)
}

/// Whether a file starts as a PDF does.
fn is_pdf(path: &Path) -> bool {
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let head = || -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(path)?.take(PDF_HEAD).read_to_end(&mut head)?;
        Ok(head)
    };
    is_file && head().is_ok_and(|head| has_pdf_head(&head))
}

/// Whether bytes start as a PDF does.
fn has_pdf_head(bytes: &[u8]) -> bool {
    bytes.windows(5).take(PDF_HEAD as usize).any(|bytes| bytes == b"%PDF-")
}
