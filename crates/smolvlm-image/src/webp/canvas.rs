//! The canvas of an animation, composed like in libwebp's `WebPAnimDecoder`: colors are not premultiplied, and cleared
//! pixels become transparent black instead of the background color of the file.

use super::frame::{Frame, Pixels, Rectangle, flatten};

/// Transparent black.
const CLEAR: [u8; 4] = [0; 4];

/// The canvas after the frames drawn so far.
pub(super) struct Canvas {
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    pixels: Vec<[u8; 4]>,
    previous: Option<Previous>,
}

/// The properties of the previous frame that affect the next one.
struct Previous {
    rectangle: Rectangle,
    is_disposed: bool,
    is_key: bool,
}

impl Canvas {
    /// A cleared canvas; `None` if its size exceeds the address space.
    pub(super) fn new(width: u32, height: u32) -> Option<Self> {
        let pixels = usize::try_from(u64::from(width) * u64::from(height)).ok()?;
        pixels.checked_mul(CLEAR.len()).filter(|&bytes| isize::try_from(bytes).is_ok())?;
        Some(Self { width, height, pixels: vec![CLEAR; pixels], previous: None })
    }

    /// RGB, composited over white if `with_alpha`, otherwise ignoring alpha.
    pub(super) fn rgb(&self, with_alpha: bool) -> Vec<u8> {
        flatten(self.pixels.as_flattened(), with_alpha)
    }

    /// Draws a frame with its decoded pixels. It must be within the canvas.
    pub(super) fn draw(&mut self, frame: &Frame<'_>, pixels: &Pixels) {
        let is_key = self.is_key(frame);
        if is_key {
            self.pixels.fill(CLEAR);
        }
        let cleared = self.previous.as_ref().filter(|previous| previous.is_disposed).map(|previous| previous.rectangle);
        if let Some(rectangle) = cleared.filter(|_| !is_key) {
            self.rows(rectangle).for_each(|row| row.fill(CLEAR));
        }
        let is_blended = frame.is_blended && !is_key;
        let rows = (frame.rectangle.y..).zip(self.rows(frame.rectangle));
        let width = frame.rectangle.width as usize;
        match pixels {
            Pixels::Rgb(rgb) => {
                let rgb = rgb.as_chunks::<3>().0.chunks_exact(width);
                for ((_, row), source) in rows.zip(rgb) {
                    row.iter_mut().zip(source).for_each(|(pixel, &[r, g, b])| *pixel = [r, g, b, 255]);
                }
            }
            Pixels::Rgba(rgba) => {
                let rgba = rgba.as_chunks::<4>().0.chunks_exact(width);
                for ((y, row), source) in rows.zip(rgba) {
                    if is_blended {
                        blend_row(row, source, frame.rectangle.x, columns(cleared, y));
                    } else {
                        row.copy_from_slice(source);
                    }
                }
            }
        }
        self.previous = Some(Previous { rectangle: frame.rectangle, is_disposed: frame.is_disposed, is_key });
    }

    /// Whether the frame is a key frame: the canvas after it does not depend on earlier frames.
    fn is_key(&self, frame: &Frame<'_>) -> bool {
        let Some(previous) = &self.previous else { return true };
        let replaces = !frame.has_alpha || !frame.is_blended;
        replaces && frame.rectangle.covers(self.width, self.height)
            || previous.is_disposed && (previous.rectangle.covers(self.width, self.height) || previous.is_key)
    }

    /// The rows of a rectangle.
    fn rows(&mut self, rectangle: Rectangle) -> impl Iterator<Item = &mut [[u8; 4]]> {
        let rows = self.pixels.chunks_exact_mut(self.width as usize);
        let (start, length) = (rectangle.x as usize, rectangle.width as usize);
        rows.skip(rectangle.y as usize).take(rectangle.height as usize).map(move |row| &mut row[start..start + length])
    }
}

/// The columns of row `y` that are in a rectangle.
fn columns(rectangle: Option<Rectangle>, y: u32) -> std::ops::Range<u32> {
    match rectangle {
        Some(Rectangle { x, y: top, width, height }) if (top..top + height).contains(&y) => x..x + width,
        _ => 0..0,
    }
}

/// Blends a row that starts at column `x`. In the columns `cleared` it is copied instead.
fn blend_row(row: &mut [[u8; 4]], source: &[[u8; 4]], x: u32, cleared: std::ops::Range<u32>) {
    for ((pixel, &source), x) in row.iter_mut().zip(source).zip(x..) {
        *pixel = if cleared.contains(&x) { source } else { blend(source, *pixel) };
    }
}

/// Blends a pixel over another in libwebp's integer arithmetic: the alpha of the lower one is scaled in 1/256 steps,
/// and colors are divided by multiplying with a 24-bit reciprocal.
fn blend(upper: [u8; 4], lower: [u8; 4]) -> [u8; 4] {
    match upper[3] {
        0 => lower,
        255 => upper,
        upper_alpha => {
            let upper_alpha = u32::from(upper_alpha);
            // At most 255 - upper_alpha, so that the sum fits 8 bits.
            let lower_alpha = (u32::from(lower[3]) * (256 - upper_alpha)) >> 8;
            let alpha = upper_alpha + lower_alpha;
            let reciprocal = (1 << 24) / alpha;
            let color = |at: usize| {
                let weighted = u32::from(upper[at]) * upper_alpha + u32::from(lower[at]) * lower_alpha;
                ((weighted * reciprocal) >> 24) as u8
            };
            [color(0), color(1), color(2), alpha as u8]
        }
    }
}
