//! Draws samples on one PNG, and prints their questions and answers to the standard output.
//!
//! `contact_sheet FILE [KIND|mixed] [SPLIT] [COUNT]`: by default 24 mixed samples of the training split.

use std::error::Error;

use image::{Rgb, RgbImage};
use smolvlm_synth::{Medium, Picture, Sample, Split, mixed_sample, sample};

/// Magnification of the images.
const SCALE: usize = 2;
/// Edge length of an image, and of two frames.
const SIDE: usize = 128;
/// Width of the cell of a sample: two images, or two rows of four frames.
const CELL: usize = 2 * SIDE;
const GAP: usize = 8;
const COLUMNS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: contact_sheet FILE [KIND|mixed] [SPLIT] [COUNT]")?;
    let what = arguments.next().unwrap_or_else(|| "mixed".to_owned());
    let split = match arguments.next().as_deref() {
        None | Some("train") => Split::Train,
        Some("validation") => Split::Validation,
        Some("test") => Split::Test,
        Some("held-out") => Split::HeldOut,
        Some(other) => return Err(format!("no split is called {other:?}").into()),
    };
    let count = arguments.next().map_or(Ok(24), |count| count.parse())?;
    let mut samples = Vec::new();
    for index in 0..count {
        samples.push(if what == "mixed" { mixed_sample(split, index) } else { sample(what.parse()?, split, index) });
    }
    let rows = samples.len().div_ceil(COLUMNS);
    let (width, height) = (COLUMNS * (CELL + GAP) * SCALE, rows * (SIDE + GAP) * SCALE);
    let mut sheet = RgbImage::from_pixel(u32::try_from(width)?, u32::try_from(height)?, Rgb([90, 90, 90]));
    for (index, sample) in samples.iter().enumerate() {
        let (left, top) = (index % COLUMNS * (CELL + GAP), index / COLUMNS * (SIDE + GAP));
        place(&mut sheet, sample, left, top);
        println!("{index} (row {}, column {})", index / COLUMNS + 1, index % COLUMNS + 1);
        for turn in &sample.turns {
            println!("    {}: {} {}", turn.kind, turn.question, turn.answer);
        }
    }
    sheet.save(file)?;
    Ok(())
}

fn place(sheet: &mut RgbImage, sample: &Sample, left: usize, top: usize) {
    for (index, medium) in sample.media.iter().enumerate() {
        match medium {
            Medium::Image(picture) => paste(sheet, picture, left + index * SIDE, top),
            Medium::Video { frames, .. } => {
                for (index, frame) in frames.iter().enumerate() {
                    paste(sheet, frame, left + index % 4 * SIDE / 2, top + index / 4 * SIDE / 2);
                }
            }
        }
    }
}

fn paste(sheet: &mut RgbImage, picture: &Picture, left: usize, top: usize) {
    for y in 0..SCALE * picture.height {
        for x in 0..SCALE * picture.width {
            let pixel = Rgb(picture.pixel(x / SCALE, y / SCALE));
            sheet.put_pixel((SCALE * left + x) as u32, (SCALE * top + y) as u32, pixel);
        }
    }
}
