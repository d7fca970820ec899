//! Rendering of conversations to prompts, and expansion of the placeholders in them.

use super::Processor;
use crate::control_tokens::ControlTokens;
use crate::error::{Error, Position};
use crate::expand::Expansion;
use crate::message::{Content, Conversation, Message};
use crate::plan::MediaPlan;
use crate::prompt::Prompt;
use crate::spans::{MarkedText, cut_spans, span_marks};
use crate::template::{ChatTemplate, RenderOptions};
use crate::template_value::View;
use crate::video_prompt::VideoPromptStyle;

impl Processor {
    /// Renders a conversation with the chat template. Each image and video is a single placeholder; see
    /// [`Processor::expand`]. [`RenderOptions::sanitize_control_tokens`] has no effect here, because the returned text
    /// cannot represent the difference between typed control tokens and those of the template.
    ///
    /// # Errors
    /// [`Error::MissingTemplate`], and those of [`ChatTemplate::render`].
    pub fn render(&self, conversation: &Conversation, options: &RenderOptions) -> Result<String, Error> {
        Ok(self.render_at(conversation, options, Position::default())?.to_string())
    }

    pub(crate) fn render_at(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
        at: Position,
    ) -> Result<Prompt, Error> {
        let strings = if self.text_only { Some(as_strings(conversation, at)?) } else { None };
        let conversation = strings.as_ref().unwrap_or(conversation);
        let template = self.template_of(conversation)?;
        let view = View::new(conversation, &self.special, options);
        if !options.sanitize_control_tokens && !self.sanitizes {
            return Ok(template.render_view(view, at)?.into());
        }
        // With videos, the video placeholder has a special meaning without being a token.
        let video = conversation.has_video().then(|| self.special.video());
        let tokens = ControlTokens::new(&self.tokenizer, template.source(), video)?;
        let text = template.render_view(View { control_tokens: Some(&tokens), ..view }, at)?;
        Ok(tokens.split(&text))
    }

    fn template_of(&self, conversation: &Conversation) -> Result<&ChatTemplate, Error> {
        match conversation.has_video() {
            true => Ok(&self.video_template),
            false => self.template.as_ref().ok_or(Error::MissingTemplate),
        }
    }

    /// The expanded prompt of a conversation and the byte ranges of the assistant's text in it, which the chat template
    /// marks with `{% generation %}` blocks; none if it has no such blocks. `media` are those of the conversation, in
    /// order.
    ///
    /// # Errors
    /// Those of [`Processor::render`] and [`Processor::expand`].
    pub fn assistant_spans(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
        media: &[MediaPlan],
    ) -> Result<Option<MarkedText>, Error> {
        let template = self.template_of(conversation)?;
        if !template.has_generation_blocks() {
            return Ok(None);
        }
        let marks = span_marks(conversation);
        let view = View { span_marks: Some(marks), ..View::new(conversation, &self.special, options) };
        let text = template.render_view(view, Position::default())?;
        Ok(Some(cut_spans(&self.expand(&text, media)?, marks)))
    }

    /// Replaces the placeholders of a prompt by the tokens of the media; images and videos are each used in order.
    ///
    /// # Errors
    /// [`Error::ImageCount`] and [`Error::VideoCount`] if the numbers of placeholders and media differ,
    /// [`Error::TooManyTokens`].
    pub fn expand(&self, text: &str, media: &[MediaPlan]) -> Result<String, Error> {
        Ok(self.expansion(None).expand(&text.to_owned().into(), media, 0)?.to_string())
    }

    /// As [`Processor::expand`], for the prompts of a batch. With [`VideoPromptStyle::Reference`], all of them state
    /// the largest number of frames.
    ///
    /// # Errors
    /// As [`Processor::expand`].
    pub fn expand_batch(&self, prompts: &[(String, Vec<MediaPlan>)]) -> Result<Vec<String>, Error> {
        let announced = self.announced(prompts.iter().flat_map(|(_, media)| media));
        let rows = prompts.iter().enumerate().map(|(row, (text, media))| {
            Ok(self.expansion(announced).expand(&text.clone().into(), media, row)?.to_string())
        });
        rows.collect()
    }

    /// The frame count in the text of each video of a batch, if it is not each video's own.
    pub(crate) fn announced<'a>(&self, media: impl Iterator<Item = &'a MediaPlan>) -> Option<usize> {
        match self.video_prompt_style {
            VideoPromptStyle::Reference => media.filter_map(MediaPlan::frames).max(),
            _ => None,
        }
    }

    /// Parameters of placeholder expansion; `announced` overrides the frame count in the text of each video.
    pub(crate) fn expansion(&self, announced: Option<usize>) -> Expansion<'_> {
        Expansion {
            special: &self.special,
            has_image_token: self.has_image_token(),
            image_seq_len: self.config.image_seq_len,
            max_bytes: self.limits.max_prompt_bytes,
            max_tokens: self.limits.max_prompt_tokens,
            words: self.video_prompt_style,
            announced,
        }
    }
}

/// The conversation with the texts of each message as a string, the form that templates of text models take.
fn as_strings(conversation: &Conversation, at: Position) -> Result<Conversation, Error> {
    let medium = conversation.items().find(|(_, _, content)| !matches!(content, Content::Text(_)));
    if let Some((message, item, _)) = medium {
        return Err(Error::TextOnly { at: at.message(message).item(item) });
    }
    let messages = conversation.messages.iter().cloned().map(Message::into_string).collect();
    Ok(Conversation { messages, ..conversation.clone() })
}
