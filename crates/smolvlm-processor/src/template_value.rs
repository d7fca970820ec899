//! What a chat template sees of a conversation.

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::{Map, Value as Json};

use crate::control_tokens::ControlTokens;
use crate::message::{Content, Conversation, Message};
use crate::plan::MediaPlan;
use crate::source::{ImageSource, VideoSource, scheme};
use crate::template::RenderOptions;
use crate::template_env::SPAN_MARKS;
use crate::tokenizer::SpecialTokens;

/// Appended to the text that `continue_final_message` continues, then cut off together with all that follows. The
/// reference's string, since a template may trim its trailing space and the reference then trims the text, too.
pub(crate) const CONTINUE_TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Names under which messages carry reasoning; templates read the first one, some the second
/// (transformers 5.24.0, utils/chat_template_utils.py, `_alias_reasoning_fields`).
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// How the content of a message that was given as a string is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StringForm {
    /// As a list of one text item.
    List,
    /// As the string.
    String,
    /// As a string of [`probe`], to see whether the template prints it.
    Probe,
}

/// The string that stands for the content of message `index` while a template is probed. A template that trims its text or
/// changes its case leaves it recognizable.
pub(crate) fn probe(index: usize) -> String {
    format!("contentprobe{index}end")
}

/// A conversation with all that decides how a template sees it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub conversation: &'a Conversation,
    pub special: &'a SpecialTokens,
    pub options: &'a RenderOptions,
    /// Tokens that are marked in all strings that come with the conversation.
    pub control_tokens: Option<&'a ControlTokens>,
    /// What stands before and after the text of every `{% generation %}` block.
    pub span_marks: Option<[char; 2]>,
    /// The text item of the last message to which [`CONTINUE_TAG`] is appended.
    pub tagged_item: Option<usize>,
}

impl<'a> View<'a> {
    /// A conversation as it is.
    pub(crate) fn new(conversation: &'a Conversation, special: &'a SpecialTokens, options: &'a RenderOptions) -> Self {
        Self { conversation, special, options, control_tokens: None, span_marks: None, tagged_item: None }
    }

    /// The template's variables; `forms` has an entry for every message.
    pub(crate) fn context(&self, forms: &[StringForm]) -> Value {
        let last = self.conversation.messages.len().saturating_sub(1);
        let messages = self.conversation.messages.iter().zip(forms).enumerate().map(|(index, (message, &form))| {
            let tagged_item = self.tagged_item.filter(|_| index == last);
            self.message(index, message, form, tagged_item)
        });
        let mut context = vec![("tools".to_owned(), Value::from(())), ("documents".to_owned(), Value::from(()))];
        context.extend(self.special.iter().map(|(name, token)| (name.to_owned(), Value::from(token))));
        let variables = self.options.variables.iter();
        context.extend(variables.map(|(name, value)| (name.clone(), self.json(value))));
        context.push(("messages".to_owned(), messages.collect()));
        let prompt = Value::from(self.options.add_generation_prompt);
        context.push(("add_generation_prompt".to_owned(), prompt));
        let marks = self.span_marks.map(|marks| marks.map(String::from).to_vec());
        context.push((SPAN_MARKS.to_owned(), Value::from(marks)));
        Value::from_pairs(context)
    }

    /// The message as the template sees it; further keys follow `role` and `content`.
    fn message(&self, index: usize, message: &Message, form: StringForm, tagged_item: Option<usize>) -> Value {
        let content = match (message.as_string(), form) {
            (Some(_), StringForm::Probe) => Value::from(probe(index)),
            (Some(text), StringForm::String) => self.tagged(text, tagged_item == Some(0)),
            _ => {
                let items = message.content.iter().enumerate();
                items.map(|(item, content)| self.content(content, tagged_item == Some(item))).collect()
            }
        };
        let mut pairs = vec![("role", self.text(&message.role)), ("content", content)];
        let extra = with_reasoning_aliases(&message.extra);
        let extra = extra.iter().filter(|(key, _)| !matches!(key.as_str(), "role" | "content"));
        pairs.extend(extra.map(|(key, value)| (key.as_str(), self.json(value))));
        Value::from_pairs(pairs)
    }

    /// A content item as the template sees it. Templates ask which media keys are there; data itself is kept from them.
    fn content(&self, content: &Content, tagged: bool) -> Value {
        let pair = match content {
            Content::Text(text) => ("text", self.tagged(text, tagged)),
            Content::Image(ImageSource::Path(path)) => ("path", self.text(&path.to_string_lossy())),
            Content::Image(ImageSource::Url(url)) if scheme(url) != Some("data") => ("url", self.text(url)),
            Content::Image(_) => ("image", Value::from("(image data)")),
            Content::Video(VideoSource::Path(path)) => ("path", self.text(&path.to_string_lossy())),
            Content::Video(VideoSource::Url(url)) if scheme(url) != Some("data") => ("url", self.text(url)),
            Content::Video(_) | Content::Known(MediaPlan::Video(_)) => ("video", Value::from("(video data)")),
            Content::Known(MediaPlan::Image(_)) => ("image", Value::from("(image data)")),
        };
        let kind = match content {
            Content::Text(_) => "text",
            Content::Image(_) | Content::Known(MediaPlan::Image(_)) => "image",
            Content::Video(_) | Content::Known(MediaPlan::Video(_)) => "video",
        };
        Value::from_pairs([("type", Value::from(kind)), pair])
    }

    fn tagged(&self, text: &str, tagged: bool) -> Value {
        match tagged {
            true => Value::from(format!("{}{CONTINUE_TAG}", self.marked(text))),
            false => self.text(text),
        }
    }

    fn text(&self, text: &str) -> Value {
        Value::from(self.marked(text))
    }

    fn marked(&self, text: &str) -> String {
        self.control_tokens.map_or_else(|| text.to_owned(), |tokens| tokens.mark(text))
    }

    fn json(&self, value: &Json) -> Value {
        match self.control_tokens {
            Some(tokens) => Value::from(Serde(tokens.mark_json(value))),
            None => Value::from(Serde(value)),
        }
    }
}

/// The further keys of a message, with reasoning under all the names that templates read.
fn with_reasoning_aliases(extra: &Map<String, Json>) -> Map<String, Json> {
    let given = REASONING.iter().find_map(|&key| extra.get(key).filter(|value| !value.is_null()));
    let mut keys = Map::new();
    if let Some(reasoning) = given {
        keys.insert("thinking".to_owned(), reasoning.clone());
    }
    keys.extend(extra.iter().map(|(key, value)| (key.clone(), value.clone())));
    if let Some(reasoning) = given {
        keys.insert("reasoning_content".to_owned(), reasoning.clone());
    }
    keys
}
