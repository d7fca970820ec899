//! Conversion of synthetic samples to conversations.

use smolvlm_processor::{Conversation, FrameList, ImageSource, Message, Ratio, Rgb, VideoSource};
use smolvlm_synth::{Medium, Picture, Sample};
use std::sync::Arc;

/// Converts a sample to a conversation: images and clips with the first question, then alternating answers and
/// questions. Ends with the last answer if `answered`, otherwise with the first question.
pub fn from_sample(sample: Sample, answered: bool) -> Result<Conversation, smolvlm_image::Error> {
    let mut first = Message::user();
    for medium in sample.media {
        first = match medium {
            Medium::Image(picture) => first.image(image(picture)?),
            Medium::Video { frames, fps } => {
                let frames = frames.into_iter().map(image).collect::<Result<Vec<_>, _>>()?;
                let mut list = FrameList::new(frames);
                list.fps = Ratio::from_f64(fps);
                first.video(VideoSource::Frames(list))
            }
        };
    }
    let mut messages = Vec::new();
    for turn in sample.turns {
        let question = std::mem::replace(&mut first, Message::user());
        messages.push(question.text(turn.question));
        if !answered {
            break;
        }
        messages.push(Message::assistant().text(turn.answer));
    }
    Ok(Conversation::new(messages))
}

fn image(picture: Picture) -> Result<ImageSource, smolvlm_image::Error> {
    let Picture { width, height, rgb } = picture;
    Ok(ImageSource::Decoded(Arc::new(Rgb::new(width as u32, height as u32, rgb)?)))
}
