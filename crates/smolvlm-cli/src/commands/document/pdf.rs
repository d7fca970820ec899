//! Pages of PDF files, through the programs of poppler.

use super::program::{Limits, ProgramError, output};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Maximum width and height of a page in pixels.
const MAX_SIDE: f64 = 8192.0;

/// Points per inch: the unit of page sizes.
const POINTS: f64 = 72.0;

/// Limits of reading the page sizes, and of rendering a page.
const INFO: Limits = Limits { time: Duration::from_secs(30), output: 64 << 20, memory: 2 << 30 };
const RENDER: Limits = Limits { time: Duration::from_secs(60), output: 256 << 20, memory: 4 << 30 };

/// A PDF file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    /// An error of a program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A path that cannot be made absolute.
    #[error("{0}")]
    Path(io::Error),
    /// A file without pages.
    #[error("has no pages")]
    Empty,
}

/// A PDF file.
pub struct Pdf {
    path: PathBuf,
    absolute: PathBuf,
    /// Resolution of each page.
    dpi: Vec<u16>,
}

impl Pdf {
    /// Reads the sizes of at most `max_pages` pages.
    ///
    /// # Errors
    ///
    /// A file that poppler cannot read, and a missing poppler.
    pub fn open(path: &Path, dpi: u16, max_pages: u32) -> Result<Self, PdfError> {
        // A relative path could start with a hyphen.
        let absolute = std::path::absolute(path).map_err(PdfError::Path)?;
        let last = max_pages.to_string();
        let info = output("pdfinfo", &["-f", "1", "-l", &last], &absolute, &INFO)?;
        let sizes = page_sizes(&String::from_utf8_lossy(&info), max_pages);
        if sizes.is_empty() {
            return Err(PdfError::Empty);
        }
        let dpi = sizes.into_iter().map(|side| limited_dpi(dpi, side)).collect();
        Ok(Self { path: path.to_owned(), absolute, dpi })
    }

    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of pages, at most the number asked for.
    pub fn pages(&self) -> u32 {
        u32::try_from(self.dpi.len()).unwrap_or(u32::MAX)
    }

    /// A page, numbered from 1, as a PNG file.
    ///
    /// # Errors
    ///
    /// A page that poppler cannot render within the limits.
    pub fn render(&self, number: u32) -> Result<Vec<u8>, PdfError> {
        let dpi = self.dpi.get(number.saturating_sub(1) as usize).copied().unwrap_or(1).to_string();
        let number = number.to_string();
        let args = ["-q", "-png", "-r", &dpi, "-f", &number, "-l", &number];
        Ok(output("pdftoppm", &args, &self.absolute, &RENDER)?)
    }
}

/// The longer side of each page in points, from lines such as `Page    3 size:  595.276 x 841.89 pts (A4)`.
fn page_sizes(info: &str, max_pages: u32) -> Vec<f64> {
    let side = |line: &str| {
        let (number, size) = line.strip_prefix("Page ")?.split_once(" size:")?;
        number.trim().parse::<u32>().ok()?;
        let mut numbers = size.split_whitespace();
        let width: f64 = numbers.next()?.parse().ok()?;
        let height: f64 = numbers.nth(1)?.parse().ok()?;
        Some(width.max(height))
    };
    info.lines().filter_map(side).take(max_pages as usize).collect()
}

/// The resolution at which a page has at most [`MAX_SIDE`] pixels.
fn limited_dpi(dpi: u16, side: f64) -> u16 {
    let most = MAX_SIDE * POINTS / side.max(1.0);
    f64::from(dpi).min(most).max(1.0) as u16
}

#[cfg(test)]
mod tests {
    use super::{limited_dpi, page_sizes};

    #[test]
    fn page_sizes_are_read_from_the_output_of_pdfinfo() {
        let info = "Title:  Page 9 size: 1 x 1\nPages:           2\nPage    1 size:  595.276 x 841.89 pts (A4)\n\
                    Page    1 rot:   0\nPage    2 size:  20000 x 10000 pts\nPage size:  5 x 5 pts\n";
        assert_eq!(page_sizes(info, 9), [841.89, 20000.0]);
        assert_eq!(page_sizes(info, 1), [841.89]);
        assert_eq!(page_sizes("Page    1 size:  nonsense x pts\n", 9), [] as [f64; 0]);
    }

    #[test]
    fn large_pages_have_a_lower_resolution() {
        assert_eq!(limited_dpi(144, 841.89), 144);
        assert_eq!(limited_dpi(144, 20000.0), 29);
        assert_eq!(limited_dpi(144, f64::INFINITY), 1);
    }
}
