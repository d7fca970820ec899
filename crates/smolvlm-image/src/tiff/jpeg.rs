//! Strips and tiles that are JPEG files (TIFF Technical Note 2).

use crate::jpeg::{Color, END, JpegPart};

/// What the JPEG files of an image have in common.
pub(super) struct Jpegs<'a> {
    /// Tables that precede each file.
    tables: &'a [u8],
    /// The directory says what components mean; markers in the files do not count.
    color: Color,
}

/// Most components of a file: those that one scan can have.
const MAX_COMPONENTS: usize = 4;
/// Pixels of a strip beyond the image that are decoded at most, so that a small image cannot ask for much memory.
const MAX_SPARE_PIXELS: usize = 16 << 20;

impl<'a> Jpegs<'a> {
    pub(super) fn new(tables: &'a [u8], photometric: u64, components: usize) -> Result<Self, String> {
        let color = match (photometric, components) {
            (6, 3) => Color::YCbCr,
            (_, 1..=MAX_COMPONENTS) => Color::Raw(components),
            _ => return Err(format!("JPEG of {components} channels is unknown")),
        };
        let tables = tables.strip_prefix(b"\xff\xd8").unwrap_or(tables);
        let tables = tables.strip_suffix(b"\xff\xd9").unwrap_or(tables);
        Ok(Self { tables, color })
    }

    /// Whether rows are RGB, instead of samples that the directory gives a meaning.
    pub(super) fn gives_rgb(&self) -> bool {
        self.color == Color::YCbCr
    }

    /// The rows of a strip or tile.
    pub(super) fn rows(&self, data: &[u8], width: usize, rows: usize) -> Result<Vec<u8>, String> {
        let data = data.strip_prefix(b"\xff\xd8").ok_or("a JPEG part has no start")?;
        // libtiff supplies an end where the data have none.
        let file = [b"\xff\xd8", self.tables, data, &END].concat();
        let jpeg = JpegPart::open(&file, self.color).map_err(|error| error.to_string())?;
        let (found_width, found_rows) = jpeg.size();
        // The last strip may be stored at the height of the others.
        let spare = found_rows.saturating_sub(rows).saturating_mul(width);
        if found_width != width || found_rows < rows || spare > MAX_SPARE_PIXELS {
            return Err("a JPEG part has another size than its strip or tile".into());
        }
        jpeg.samples().map_err(|error| error.to_string())
    }
}
