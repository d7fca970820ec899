//! JPEG-compressed strips and tiles (TIFF Technical Note 2).

use crate::jpeg::{Color, END, JpegPart};

/// Common parameters of the JPEG streams of an image.
pub(super) struct Jpegs<'a> {
    /// Tables that precede each stream.
    tables: &'a [u8],
    /// The color space according to the directory; markers in the streams are ignored.
    color: Color,
}

/// Maximum number of components per stream: those that one scan can have.
const MAX_COMPONENTS: usize = 4;
/// Maximum number of decoded pixels of a strip outside the image, so that small images cannot require much memory.
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

    /// Whether rows are RGB rather than samples in the directory's color format.
    pub(super) fn gives_rgb(&self) -> bool {
        self.color == Color::YCbCr
    }

    /// The rows of a strip or tile.
    pub(super) fn rows(&self, data: &[u8], width: usize, rows: usize) -> Result<Vec<u8>, String> {
        let data = data.strip_prefix(b"\xff\xd8").ok_or("a JPEG part has no start")?;
        // libtiff appends an end marker if there is none.
        let file = [b"\xff\xd8", self.tables, data, &END].concat();
        let jpeg = JpegPart::open(&file, self.color).map_err(|error| error.to_string())?;
        let (found_width, found_rows) = jpeg.size();
        // The last strip may have the full strip height.
        let spare = found_rows.saturating_sub(rows).saturating_mul(width);
        if found_width != width || found_rows < rows || spare > MAX_SPARE_PIXELS {
            return Err("a JPEG part has another size than its strip or tile".into());
        }
        jpeg.samples().map_err(|error| error.to_string())
    }
}
