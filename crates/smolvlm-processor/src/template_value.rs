//! Template variables of a conversation.

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

/// Tag appended to the text that `continue_final_message` continues; it is cut off after rendering, with everything
/// that follows. The string is the reference's: if a template trims its trailing space, the reference trims the text,
/// too.
pub(crate) const CONTINUE_TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Keys for the reasoning of a message; templates read the first one, some the second (transformers 5.24.0,
/// utils/chat_template_utils.py, `_alias_reasoning_fields`).
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The form in which content given as a string is passed to the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StringForm {
    /// As a list of one text item.
    List,
    /// As the string itself.
    String,
    /// As a [`probe`] string, to detect whether the template prints it.
    Probe,
}

/// Probe text that replaces the content of message `index`. It remains recognizable if a template trims it or changes
/// its case.
pub(crate) fn probe(index: usize) -> String {
    format!("contentprobe{index}end")
}

/// A conversation with everything that determines its template variables.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub conversation: &'a Conversation,
    pub special: &'a SpecialTokens,
    pub options: &'a RenderOptions,
    /// Tokens that are marked in all strings of the conversation.
    pub control_tokens: Option<&'a ControlTokens>,
    /// Markers that enclose the text of every `{% generation %}` block.
    pub span_marks: Option<[char; 2]>,
    /// Index of the text item of the last message to which [`CONTINUE_TAG`] is appended.
    pub tagged_item: Option<usize>,
}

impl<'a> View<'a> {
    /// A view without markers and tags.
    pub(crate) fn new(conversation: &'a Conversation, special: &'a SpecialTokens, options: &'a RenderOptions) -> Self {
        Self { conversation, special, options, control_tokens: None, span_marks: None, tagged_item: None }
    }

    /// The template variables; `forms` has one entry per message.
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

    /// Template value of a message; additional keys follow `role` and `content`.
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

    /// Template value of a content item. Templates check which media keys are present; the data itself is not passed.
    fn content(&self, content: &Content, tagged: bool) -> Value {
        let pair = match content {
            Content::Text(text) => ("text", self.tagged(text, tagged)),
            Content::Image(ImageSource::Path(path)) => ("path", self.text(&path.to_string_lossy())),
            Content::Image(ImageSource::Url(url)) if scheme(url) != Some("data") => ("url", self.text(url)),
            Content::Image(_) => ("image", Value::from("(image data)")),
            Content::Video(VideoSource::Path(path)) => ("path", self.text(&path.to_string_lossy())),
            Content::Video(VideoSource::Url(url)) if scheme(url) != Some("data") => ("url", self.text(url)),
            Content::Video(_) | Content::Precomputed(MediaPlan::Video(_)) => ("video", Value::from("(video data)")),
            Content::Precomputed(MediaPlan::Image(_)) => ("image", Value::from("(image data)")),
        };
        let kind = match content {
            Content::Text(_) => "text",
            Content::Image(_) | Content::Precomputed(MediaPlan::Image(_)) => "image",
            Content::Video(_) | Content::Precomputed(MediaPlan::Video(_)) => "video",
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

/// The additional keys of a message, with the reasoning under all names that templates use.
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
