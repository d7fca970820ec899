//! `smolvlm process`: preprocesses conversations.

use crate::args::Process;
use crate::array_file::{Array, ArrayFile};
use crate::failure::Failure;
use crate::media;
use serde_json::{Value, json};
use smolvlm::Ratio;
use smolvlm::processor::{Batch, MediaPlan, VideoPlan};
use std::collections::HashMap;

/// Writes the model inputs in the reference's layout, and prompts and video frames as metadata.
pub fn run(args: &Process) -> Result<(), Failure> {
    let conversations = args.input.read()?;
    let checkpoint = args.model.open()?;
    let out = ArrayFile::new(&args.out, &args.input, &conversations, &checkpoint.files())?;
    let processor = checkpoint.processor(&args.model.options())?;
    let batch = processor.process(&conversations, &Default::default()).map_err(smolvlm::Error::from)?;

    (0..batch.rows).for_each(|row| media::print_notes(&batch.notes(row)));

    let text_shape = [batch.rows, batch.len];
    let mut arrays = vec![
        Array::i64("input_ids", text_shape, batch.input_ids.iter().map(|&id| i64::from(id))),
        Array::i64("attention_mask", text_shape, batch.attention_mask.iter().map(|&bit| i64::from(bit))),
    ];
    if let Some(pixels) = batch.pixel_values() {
        let [rows, tiles, _, height, width] = pixels.shape;
        arrays.push(Array::f32("pixel_values", pixels.shape, &pixels.data));
        let mask = pixels.mask.iter().copied();
        arrays.push(Array::i64("pixel_attention_mask", [rows, tiles, height, width], mask));
    }
    out.write(&arrays, metadata(&batch))
}

/// The metadata: the expanded prompt of each row and the frames of its videos.
fn metadata(batch: &Batch) -> HashMap<String, String> {
    let prompts = batch.prompts.iter().enumerate().map(|(row, prompt)| (format!("prompt.{row}"), prompt.clone()));
    let videos = batch.media.iter().enumerate().flat_map(|(row, media)| {
        let videos = media.iter().filter_map(|medium| match medium.plan() {
            MediaPlan::Video(video) => Some(frames(&video)),
            _ => None,
        });
        videos.enumerate().map(move |(index, frames)| (format!("video.{row}.{index}"), frames.to_string()))
    });
    prompts.chain(videos).collect()
}

/// The indices and times of sampled frames, in seconds, if known.
fn frames(video: &VideoPlan) -> Value {
    let seconds = |time: Option<Ratio>| time.map(Ratio::as_f64);
    json!({
        "indices": video.stamps.iter().map(|stamp| stamp.index).collect::<Vec<_>>(),
        "times": video.stamps.iter().map(|stamp| seconds(stamp.time)).collect::<Vec<_>>(),
        "frames": video.metadata.frames,
        "fps": seconds(video.metadata.fps),
        "duration": seconds(video.metadata.duration),
    })
}
