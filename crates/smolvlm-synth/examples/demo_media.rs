//! Writes the images and the clip of the demo, and prints their questions and answers to the standard output.
//!
//! `demo_media tests/corpus/world`

use std::error::Error;
use std::fs::File;
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbaImage};
use smolvlm_synth::{Kind, Medium, Picture, Split, sample};

/// Test samples and the names of their files.
const SAMPLES: [(Kind, u64, &[&str]); 5] = [
    (Kind::Describe, 0, &["shapes.png"]),
    (Kind::Read, 9, &["sign.png"]),
    (Kind::Chart, 10, &["chart.png"]),
    (Kind::Difference, 2, &["before.png", "after.png"]),
    (Kind::Motion, 0, &["clip.gif"]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: demo_media FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    for (kind, index, names) in SAMPLES {
        let sample = sample(kind, Split::Test, index);
        for (medium, name) in sample.media.iter().zip(names) {
            let path = Path::new(&folder).join(name);
            match medium {
                Medium::Image(picture) => rgba(picture)?.save(path)?,
                Medium::Video { frames, fps } => write_gif(frames, *fps, &path)?,
            }
        }
        for turn in &sample.turns {
            println!("{}: {} {}", names.join(", "), turn.question, turn.answer);
        }
    }
    Ok(())
}

fn rgba(picture: &Picture) -> Result<RgbaImage, Box<dyn Error>> {
    let pixels = picture.rgb.chunks_exact(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect();
    let (width, height) = (u32::try_from(picture.width)?, u32::try_from(picture.height)?);
    RgbaImage::from_raw(width, height, pixels).ok_or_else(|| "too few pixels".into())
}

fn write_gif(frames: &[Picture], fps: f64, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut encoder = GifEncoder::new_with_speed(File::create(path)?, 1);
    encoder.set_repeat(Repeat::Infinite)?;
    let delay = Delay::from_numer_denom_ms((1000.0 / fps) as u32, 1);
    for frame in frames {
        encoder.encode_frame(Frame::from_parts(rgba(frame)?, 0, 0, delay))?;
    }
    Ok(())
}
