//! The order of images and videos in a prompt.

use smolvlm_processor::{Content, Conversation, Media, MediaPlan};

/// Index of a message and of a content item in it.
pub(crate) type MediaPosition = (usize, usize);

/// The position in the conversation of each image and video of its prompt, in prompt order. Images keep their order in
/// the conversation, and so do videos; truncation drops the oldest after the leading system messages.
pub(crate) fn media_positions(conversation: &Conversation, prompt: &[Media]) -> Vec<MediaPosition> {
    let first = conversation.messages.iter().take_while(|message| message.role == "system").count();
    let (mut images, mut videos) = (Vec::new(), Vec::new());
    for (index, message) in conversation.messages.iter().enumerate() {
        for (item, content) in message.content.iter().enumerate() {
            match content {
                Content::Image(_) | Content::Precomputed(MediaPlan::Image(_)) => images.push((index, item)),
                Content::Video(_) | Content::Precomputed(MediaPlan::Video(_)) => videos.push((index, item)),
                _ => {}
            }
        }
    }
    let is_video = |media: &Media| matches!(media.plan(), MediaPlan::Video(_));
    let shown = |mut positions: Vec<MediaPosition>, count: usize| {
        let stay = positions.iter().filter(|(message, _)| *message < first).count();
        let end = (stay + positions.len().saturating_sub(count)).min(positions.len());
        positions.drain(stay..end);
        positions.into_iter()
    };
    let count = prompt.iter().filter(|media| is_video(media)).count();
    let (mut images, mut videos) = (shown(images, prompt.len() - count), shown(videos, count));
    prompt.iter().filter_map(|media| if is_video(media) { videos.next() } else { images.next() }).collect()
}
