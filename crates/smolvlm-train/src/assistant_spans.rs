//! Which tokens of a conversation are learnt.

use crate::SampleError;
use smolvlm_processor::{Conversation, MediaPlan, Processor, RenderOptions};
use std::ops::Range;

/// Stretches of the expanded prompt, in bytes, that the assistant says.
pub(crate) struct AssistantSpans {
    spans: Vec<Range<usize>>,
    /// Whether the chat template marks them. Then a token belongs to one that it reaches into, as in the reference.
    marked: bool,
}

impl AssistantSpans {
    /// What a chat template marks by `{% generation %}` blocks, as the reference's `return_assistant_tokens_mask` has it.
    ///
    /// Without such blocks, each stretch goes from after the words that make the assistant answer to the end of the token that
    /// ends its turn. They are found by rendering the conversation message by message, so that any chat template works that
    /// renders what comes first alike whatever follows.
    ///
    /// # Errors
    ///
    /// [`SampleError::Template`] for templates that do not, [`SampleError::NoTarget`] when the assistant says nothing.
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

    /// Whether the token that starts and ends there is said by the assistant.
    pub(crate) fn contains(&self, (start, end): (usize, usize)) -> bool {
        self.spans.iter().any(|span| match self.marked {
            true => start < span.end && end > span.start,
            false => span.contains(&start),
        })
    }
}

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
