//! The spans of a prompt that the assistant generates: the training targets.

use crate::SampleError;
use smolvlm_processor::{Conversation, MediaPlan, Processor, RenderOptions};
use std::ops::Range;

/// Byte ranges of the expanded prompt that the assistant generates.
pub(crate) struct AssistantSpans {
    spans: Vec<Range<usize>>,
    /// Whether the chat template marks them. In that case a token that overlaps a span belongs to it, as in the
    /// reference.
    marked: bool,
}

impl AssistantSpans {
    /// Finds the spans that the chat template marks with `{% generation %}` blocks, as the reference's
    /// `return_assistant_tokens_mask` does.
    ///
    /// Without such blocks, each span starts after the generation prompt and ends after the end-of-turn token. The
    /// spans are found by rendering the conversation message by message, which works for any chat template whose
    /// rendering of the first messages does not depend on later ones.
    ///
    /// # Errors
    ///
    /// [`SampleError::Template`] for other templates, [`SampleError::NoTarget`] without an assistant message.
    pub(crate) fn find(
        processor: &Processor,
        conversation: &Conversation,
        prompt: &str,
        media: &[MediaPlan],
    ) -> Result<Self, SampleError> {
        let (spans, marked) = match processor.assistant_spans(conversation, &RenderOptions::plain(), media)? {
            Some((text, spans)) if text == prompt => (spans, true),
            Some(_) => return Err(SampleError::Template { messages: conversation.messages.len() }),
            None => (unmarked(processor, conversation, prompt, media)?, false),
        };
        if spans.is_empty() { Err(SampleError::NoTarget) } else { Ok(Self { spans, marked }) }
    }

    /// Whether the token with these byte offsets belongs to a span.
    pub(crate) fn contains(&self, (start, end): (usize, usize)) -> bool {
        self.spans.iter().any(|span| match self.marked {
            true => start < span.end && end > span.start,
            false => span.contains(&start),
        })
    }
}

/// Finds the spans by rendering the conversation message by message.
fn unmarked(
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
    Ok(spans)
}
