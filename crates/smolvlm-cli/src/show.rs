//! Images in a terminal, two pixels per character.

use crate::failure::Failure;
use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};
use smolvlm::processor::{Media, RenderOptions};
use smolvlm::{Conversation, SmolVlm};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

/// Maximum width of one image, in columns.
const WIDTH: u32 = 48;
/// Maximum number of frames to show of a video.
const FRAMES: usize = 8;

/// Draws the model's input images to stderr if it is a terminal with colors: the global view of each image, the first
/// frames of each video.
pub fn media(model: &SmolVlm, conversation: &Conversation) -> Result<(), Failure> {
    let mut stderr = std::io::stderr().lock();
    if !stderr.is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return Ok(());
    }
    let batch = model.processor().process(std::slice::from_ref(conversation), &RenderOptions::answer());
    let batch = batch.map_err(smolvlm::Error::from)?;
    let tile_len = 3 * batch.edge * batch.edge;
    let mut pictures = Vec::new();
    for media in batch.all_media() {
        let tiles: Vec<&[f32]> = media.pixels().chunks_exact(tile_len.max(1)).collect();
        match media {
            // The global view is the last tile.
            Media::Image(_) => pictures.extend(tiles.last().map(|tile| picture(model, tile, batch.edge))),
            _ => pictures.extend(tiles.iter().take(FRAMES).map(|tile| picture(model, tile, batch.edge))),
        }
    }
    let columns = terminal_size::terminal_size_of(&stderr).map_or(80, |(width, _)| u32::from(width.0));
    let many_colors = std::env::var("COLORTERM").is_ok_and(|value| value == "truecolor" || value == "24bit");
    if let Some(strip) = side_by_side(&pictures, columns) {
        // A failure to draw must not prevent the answer.
        let _ = stderr.write_all(half_blocks(&strip, many_colors).as_bytes());
    }
    Ok(())
}

/// Converts the normalized pixels of a tile to an image.
fn picture(model: &SmolVlm, tile: &[f32], edge: usize) -> RgbImage {
    let config = &model.processor().config().image;
    let (mean, std) = (config.pixels.image_mean, config.pixels.image_std);
    let level = |index: usize, channel: usize| {
        let value = f64::from(tile[channel * edge * edge + index]);
        ((value * std[channel] + mean[channel]) * 255.0).round() as u8
    };
    RgbImage::from_fn(edge as u32, edge as u32, |x, y| {
        let index = y as usize * edge + x as usize;
        Rgb([0, 1, 2].map(|channel| level(index, channel)))
    })
}

/// Places images side by side, as large as the terminal's width allows.
fn side_by_side(pictures: &[RgbImage], columns: u32) -> Option<RgbImage> {
    let count = u32::try_from(pictures.len()).ok().filter(|&count| count > 0)?;
    let width = (columns / count).saturating_sub(1).clamp(1, WIDTH);
    let mut strip = RgbImage::new(count * (width + 1) - 1, width);
    for (index, picture) in (0_i64..).zip(pictures) {
        replace(&mut strip, &resize(picture, width, width, FilterType::Triangle), index * i64::from(width + 1), 0);
    }
    Some(strip)
}

/// Encodes an image as half-block characters, the upper pixel as foreground and the lower one as background: in 24-bit
/// color, or in the closest color of the 216-color cube.
fn half_blocks(picture: &RgbImage, many_colors: bool) -> String {
    let color = |Rgb([r, g, b]): Rgb<u8>| match many_colors {
        true => format!("2;{r};{g};{b}"),
        false => {
            let [r, g, b] = [r, g, b].map(|level| (u32::from(level) * 5 + 127) / 255);
            format!("5;{}", 16 + 36 * r + 6 * g + b)
        }
    };
    let mut text = String::new();
    for y in (0..picture.height()).step_by(2) {
        for x in 0..picture.width() {
            let (upper, lower) = (*picture.get_pixel(x, y), picture.get_pixel_checked(x, y + 1).copied());
            let lower = lower.map(|lower| format!(";48;{}", color(lower))).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(text, "\x1b[38;{}{lower}m\u{2580}", color(upper));
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{half_blocks, side_by_side};
    use image::{Rgb, RgbImage};

    #[test]
    fn each_character_shows_two_pixels() {
        let levels = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let column = RgbImage::from_fn(1, 3, |_, y| Rgb(levels[y as usize]));
        let expected = "\x1b[38;2;255;0;0;48;2;0;255;0m\u{2580}\x1b[0m\n\x1b[38;2;0;0;255m\u{2580}\x1b[0m\n";
        assert_eq!(half_blocks(&column, true), expected);
        assert!(half_blocks(&column, false).starts_with("\x1b[38;5;196;48;5;46m\u{2580}"));
    }

    #[test]
    fn pictures_share_the_columns() {
        let picture = RgbImage::from_pixel(64, 64, Rgb([9, 9, 9]));
        let pictures = vec![picture; 3];
        for columns in [1, 3, 80, 500] {
            let strip = side_by_side(&pictures, columns).unwrap();
            assert!(strip.width() <= columns.max(5) && strip.height() <= 48, "{:?}", strip.dimensions());
        }
        assert_eq!(side_by_side(&pictures, 80).unwrap().dimensions(), (77, 25));
        assert!(side_by_side(&[], 80).is_none());
    }
}
