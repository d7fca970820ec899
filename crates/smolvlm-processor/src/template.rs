//! The chat template: conversations to prompt text.

use std::thread;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value};
use serde_json::Map;

use crate::error::{Error, Position, Problem};
use crate::message::{Content, Conversation, Message};
use crate::namespace::rewrite_assignments;
use crate::plan::MediaPlan;
use crate::source::{ImageSource, VideoSource, scheme};
use crate::template_env::environment;
use crate::tokenizer::SpecialTokens;

/// The chat template of the released SmolVLM and SmolVLM2 checkpoints.
pub const RELEASED_CHAT_TEMPLATE: &str = "<|im_start|>{% for message in messages %}\
{{message['role'] | capitalize}}\
{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}\
{% for line in message['content'] %}\
{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}\
{% endfor %}<end_of_utterance>\n{% endfor %}\
{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

/// The template of conversations with videos: the released one, which knows none, with a branch for them. The reference
/// uses it instead of any checkpoint's (transformers 5.23.0, processing_smolvlm.py, `apply_chat_template`).
pub(crate) const VIDEO_CHAT_TEMPLATE: &str = "<|im_start|>{% for message in messages %}\
{{message['role'] | capitalize}}\
{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}\
{% for line in message['content'] %}\
{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}\
{% elif line['type'] == 'video' %}{{ '<video>' }}{% endif %}\
{% endfor %}<end_of_utterance>\n{% endfor %}\
{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

const NAME: &str = "chat_template";

/// Longest template, in bytes. The engine's parser recurses over chains of operators, one level a byte at worst.
const MAX_BYTES: usize = 32 << 10;

/// Stack for compiling a template of [`MAX_BYTES`]: twice the most that unoptimised code was seen to use.
const COMPILE_STACK: usize = 128 << 20;

/// Templates up to this length (the released one, for instance) compile on the caller's stack.
const SHORT_BYTES: usize = 512;

/// Appended to the text that `continue_final_message` continues, then cut off together with all that follows. The
/// reference's string, since a template may trim its trailing space and the reference then trims the text, too.
const CONTINUE_TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// How a conversation is rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderOptions {
    /// Whether to end with the words that make the model answer (`Assistant:`).
    pub add_generation_prompt: bool,
    /// Whether to leave the last message open, so that the model goes on with its text.
    /// Excludes `add_generation_prompt`.
    pub continue_final_message: bool,
    /// Further template variables (`tools`, `documents`, ...); they take precedence over special tokens.
    pub variables: Map<String, serde_json::Value>,
}

impl RenderOptions {
    /// Ask for an answer to the last message.
    pub fn answer() -> Self {
        Self { add_generation_prompt: true, continue_final_message: false, variables: Map::new() }
    }

    /// Go on with the text of the last message.
    pub fn continue_final() -> Self {
        Self { add_generation_prompt: false, continue_final_message: true, variables: Map::new() }
    }

    /// Only render the messages.
    pub fn plain() -> Self {
        Self { add_generation_prompt: false, continue_final_message: false, variables: Map::new() }
    }
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self::answer()
    }
}

/// A compiled Jinja chat template, run in transformers' environment.
///
/// Work per rendering is bounded: a template that loops for ever ends in an error.
#[derive(Debug)]
pub struct ChatTemplate {
    env: Environment<'static>,
    source: String,
}

impl ChatTemplate {
    /// Compiles a template. `fuel` bounds the work of one rendering: about as many engine instructions, or 64 times as
    /// many bytes of text.
    ///
    /// # Errors
    /// [`Error::Template`] with the line.
    pub fn new(source: &str, fuel: u64) -> Result<Self, Error> {
        if source.len() > MAX_BYTES {
            let message = format!("{} bytes long, the limit is {MAX_BYTES}", source.len());
            return Err(Error::Template { line: None, message });
        }
        let code = rewrite_assignments(source).into_owned();
        let compile = move || {
            let mut env = environment(fuel)?;
            env.add_template_owned(NAME, code)?;
            Ok(env)
        };
        let compiled = if source.len() <= SHORT_BYTES {
            compile()
        } else {
            let failed = |message: String| Error::Template { line: None, message };
            let thread = thread::Builder::new().stack_size(COMPILE_STACK).spawn(compile);
            let thread = thread.map_err(|error| failed(format!("cannot be compiled: {error}")))?;
            thread.join().map_err(|_| failed("the template engine panicked".to_owned()))?
        };
        Ok(Self { env: compiled.map_err(template_error)?, source: source.to_owned() })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Sets the bound of [`ChatTemplate::new`] anew.
    pub fn set_fuel(&mut self, fuel: u64) {
        self.env.set_fuel(Some(fuel));
    }

    /// Renders one conversation.
    ///
    /// # Errors
    /// [`Error::Conversation`] for a conversation or message without content, [`Error::ConflictingOptions`],
    /// [`Error::ContinueFinalMessage`], and [`Error::Template`] when the template fails.
    pub fn render(
        &self,
        conversation: &Conversation,
        special: &SpecialTokens,
        options: &RenderOptions,
    ) -> Result<String, Error> {
        self.render_at(conversation, special, options, Position::default())
    }

    pub(crate) fn render_at(
        &self,
        conversation: &Conversation,
        special: &SpecialTokens,
        options: &RenderOptions,
        at: Position,
    ) -> Result<String, Error> {
        if options.add_generation_prompt && options.continue_final_message {
            return Err(Error::ConflictingOptions);
        }
        if conversation.messages.is_empty() {
            return Err(at.error(Problem::NoMessages));
        }
        let empty = conversation.messages.iter().position(|message| message.content.is_empty());
        if let Some(index) = empty {
            return Err(at.message(index).error(Problem::EmptyContent));
        }
        let continued =
            if options.continue_final_message { Some(self.continued_text(conversation, at)?) } else { None };
        let context = self.context(conversation, special, options, continued.map(|(item, _)| item));
        let template = self.env.get_template(NAME).map_err(template_error)?;
        let text = template.render(context).map_err(template_error)?;
        match continued {
            None => Ok(text),
            Some((_, last)) => cut_after_final_text(text, last, at),
        }
    }

    /// The last text item of the last message: its index and text.
    fn continued_text<'c>(&self, conversation: &'c Conversation, at: Position) -> Result<(usize, &'c str), Error> {
        let index = conversation.messages.len().saturating_sub(1);
        let fail = |reason| Error::ContinueFinalMessage { at: at.message(index), reason };
        if !self.source.contains("content") {
            return Err(fail("the chat template does not print message content"));
        }
        let items = conversation.messages.last().map(|message| message.content.iter().enumerate());
        let text = items.into_iter().flatten().rev().find_map(|(item, content)| match content {
            Content::Text(text) => Some((item, text.as_str())),
            Content::Image(_) | Content::Video(_) | Content::Known(_) => None,
        });
        text.ok_or_else(|| fail("the last message holds no text"))
    }

    fn context(
        &self,
        conversation: &Conversation,
        special: &SpecialTokens,
        options: &RenderOptions,
        tagged_item: Option<usize>,
    ) -> Value {
        let last = conversation.messages.len().saturating_sub(1);
        let messages = conversation
            .messages
            .iter()
            .enumerate()
            .map(|(index, message)| message_value(message, tagged_item.filter(|_| index == last)));
        let mut context = vec![("tools".to_owned(), Value::from(())), ("documents".to_owned(), Value::from(()))];
        context.extend(special.iter().map(|(name, token)| (name.to_owned(), Value::from(token))));
        let variables = options.variables.iter();
        context.extend(variables.map(|(name, value)| (name.clone(), Value::from(Serde(value)))));
        context.push(("messages".to_owned(), messages.collect()));
        let prompt = Value::from(options.add_generation_prompt);
        context.push(("add_generation_prompt".to_owned(), prompt));
        Value::from_pairs(context)
    }
}

/// The message as the template sees it; further keys follow `role` and `content`.
fn message_value(message: &Message, tagged_item: Option<usize>) -> Value {
    let content = message.content.iter().enumerate();
    let content: Value = content.map(|(item, content)| content_value(content, tagged_item == Some(item))).collect();
    let mut pairs = vec![("role", Value::from(message.role.as_str())), ("content", content)];
    let extra = message.extra.iter().filter(|(key, _)| !matches!(key.as_str(), "role" | "content"));
    pairs.extend(extra.map(|(key, value)| (key.as_str(), Value::from(Serde(value)))));
    Value::from_pairs(pairs)
}

/// A content item as the template sees it. Templates ask which media keys are there; data itself is kept from them.
fn content_value(content: &Content, tagged: bool) -> Value {
    let pair = match content {
        Content::Text(text) if tagged => ("text", Value::from(format!("{text}{CONTINUE_TAG}"))),
        Content::Text(text) => ("text", Value::from(text.as_str())),
        Content::Image(ImageSource::Path(path)) => ("path", Value::from(path.to_string_lossy())),
        Content::Image(ImageSource::Url(url)) if scheme(url) != Some("data") => ("url", Value::from(url.as_str())),
        Content::Image(_) => ("image", Value::from("(image data)")),
        Content::Video(VideoSource::Path(path)) => ("path", Value::from(path.to_string_lossy())),
        Content::Video(VideoSource::Url(url)) if scheme(url) != Some("data") => ("url", Value::from(url.as_str())),
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

/// The reference's cut (transformers 5.23.0, utils/chat_template_utils.py, render_jinja_template).
fn cut_after_final_text(mut text: String, last: &str, at: Position) -> Result<String, Error> {
    let tag = CONTINUE_TAG.trim_end();
    let cut = text.rfind(tag).filter(|_| text.contains(last.trim()));
    let Some(cut) = cut else {
        let reason = "the chat template drops or changes the text of the last message";
        return Err(Error::ContinueFinalMessage { at, reason });
    };
    let kept_space = text.get(cut..).is_some_and(|tail| tail.starts_with(CONTINUE_TAG));
    text.truncate(cut);
    if !kept_space {
        text.truncate(text.trim_end().len());
    }
    Ok(text)
}

fn template_error(error: minijinja::Error) -> Error {
    let line = error.line();
    let message = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "does too much work for one conversation".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    Error::Template { line, message: message.replace('\n', " ") }
}
