//! Export of samples to files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use image::{ExtendedColorType, ImageFormat};
use serde_json::{Value, json};

use crate::error::Error;
use crate::picture::{Medium, Picture};
use crate::sample::Sample;

/// Writes samples to `folder`, which is created if necessary: `samples.jsonl` with one conversation per line, and
/// `media` with a PNG file per image and frame. Returns the number of samples.
///
/// A line is a list of messages in the Hugging Face format, answers included. Paths in it start with `folder` as given
/// here; a video is the list of its frames, with `fps`.
///
/// # Errors
/// [`Error::Write`], [`Error::Png`], [`Error::PictureSize`] and [`Error::PathNotUtf8`].
pub fn write_jsonl(folder: &Path, samples: impl IntoIterator<Item = Sample>) -> Result<usize, Error> {
    let media = folder.join("media");
    fs::create_dir_all(&media).map_err(|source| Error::Write { path: media.clone(), source })?;
    let path = folder.join("samples.jsonl");
    let failed = |source| Error::Write { path: path.clone(), source };
    let mut lines = BufWriter::new(File::create(&path).map_err(failed)?);
    let mut count = 0;
    for sample in samples {
        let conversation = conversation(&sample, &media.join(format!("{count:06}")))?;
        writeln!(lines, "{conversation}").map_err(failed)?;
        count += 1;
    }
    lines.flush().map_err(failed)?;
    Ok(count)
}

/// Writes the images and clips of a sample to paths that start with `stem`; returns its conversation.
fn conversation(sample: &Sample, stem: &Path) -> Result<Value, Error> {
    let mut content = Vec::new();
    for (index, medium) in sample.media.iter().enumerate() {
        match medium {
            Medium::Image(picture) => {
                let path = write_png(picture, with_suffix(stem, &format!("-{index}.png")))?;
                content.push(json!({"type": "image", "path": path}));
            }
            Medium::Video { frames, fps } => {
                let folder = with_suffix(stem, &format!("-{index}"));
                fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
                let write = |(number, frame)| write_png(frame, folder.join(format!("{number:03}.png")));
                let paths = frames.iter().enumerate().map(write).collect::<Result<Vec<_>, _>>()?;
                content.push(json!({"type": "video", "path": paths, "fps": fps}));
            }
        }
    }
    let mut messages = Vec::with_capacity(2 * sample.turns.len());
    for turn in &sample.turns {
        content.push(json!({"type": "text", "text": turn.question}));
        messages.push(json!({"role": "user", "content": std::mem::take(&mut content)}));
        messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]}));
    }
    Ok(Value::Array(messages))
}

fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Writes an image; returns its path.
fn write_png(picture: &Picture, path: PathBuf) -> Result<String, Error> {
    let Picture { width, height, rgb } = picture;
    // A size that overflows 32 bits cannot match the number of bytes.
    let (columns, rows) = (u32::try_from(*width).unwrap_or(0), u32::try_from(*height).unwrap_or(0));
    if u64::from(columns) * u64::from(rows) * 3 != rgb.len() as u64 {
        return Err(Error::PictureSize { width: *width, height: *height, bytes: rgb.len() });
    }
    let written = image::save_buffer_with_format(&path, rgb, columns, rows, ExtendedColorType::Rgb8, ImageFormat::Png);
    written.map_err(|source| Error::Png { path: path.clone(), source })?;
    path.into_os_string().into_string().map_err(|path| Error::PathNotUtf8 { path: path.into() })
}
