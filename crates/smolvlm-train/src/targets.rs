//! Which tokens of a conversation are learnt.

use crate::SampleError;
use smolvlm_processor::{Conversation, MediaPlan, Processor, RenderOptions};
use std::ops::Range;

/// Stretches of the expanded prompt, in bytes, that the assistant says: each from behind the words that make it answer to
/// the end of the token that ends its turn.
///
/// They are found by rendering the conversation message by message, so that any chat template works that renders what
/// comes first alike whatever follows.
///
/// # Errors
///
/// [`SampleError::Template`] for templates that do not, [`SampleError::NoTarget`] when the assistant says nothing.
pub(crate) fn spoken(
    processor: &Processor,
    conversation: &Conversation,
    prompt: &str,
    media: &[MediaPlan],
) -> Result<Vec<Range<usize>>, SampleError> {
    let has_video = media.iter().any(|plan| matches!(plan, MediaPlan::Video(_)));
    let expanded = |count: usize, options: &RenderOptions| -> Result<String, SampleError> {
        let text = match count {
            0 => return Ok(String::new()),
            count => processor.render(&Conversation::from(&conversation.messages[..count]), options)?,
        };
        let special = processor.special_tokens();
        let videos = if has_video { text.matches(special.video()).count() } else { 0 };
        let shown = text.matches(special.image()).count() + videos;
        Ok(processor.expand(&text, media.get(..shown).unwrap_or(media))?)
    };
    let end_token = processor.special_tokens().get("end_of_utterance_token");
    let end_token = end_token.or_else(|| processor.special_tokens().get("eos_token"));
    let mut spans = Vec::new();
    for (index, message) in conversation.messages.iter().enumerate() {
        if message.role != "assistant" {
            continue;
        }
        let through = expanded(index + 1, &RenderOptions::plain())?;
        if !prompt.starts_with(&through) {
            return Err(SampleError::Template { messages: index + 1 });
        }
        let asked = expanded(index, &RenderOptions::answer())?;
        let mut start = asked.bytes().zip(through.bytes()).take_while(|(a, b)| a == b).count();
        while !through.is_char_boundary(start) {
            start -= 1;
        }
        let said = &through[start..];
        let end = end_token.and_then(|token| said.rfind(token).map(|at| at + token.len())).unwrap_or(said.len());
        spans.push(start..start + end);
    }
    if spans.is_empty() { Err(SampleError::NoTarget) } else { Ok(spans) }
}
