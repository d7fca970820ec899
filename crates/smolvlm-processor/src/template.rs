//! Chat templates, which render conversations to prompt text.

use std::collections::BTreeSet;
use std::thread;

use minijinja::{Environment, ErrorKind};
use serde_json::Map;
use smolvlm_config::without_byte_order_mark;

use crate::error::{Error, Position, Problem};
use crate::message::{Content, Conversation};
use crate::tags::{GENERATION, rewrite_tags};
use crate::template_env::environment;
use crate::template_value::{CONTINUE_TAG, StringForm, View, probe};
use crate::tokenizer::SpecialTokens;

/// The chat template of the released SmolVLM and SmolVLM2 checkpoints.
pub const RELEASED_CHAT_TEMPLATE: &str = "<|im_start|>{% for message in messages %}\
{{message['role'] | capitalize}}\
{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}\
{% for line in message['content'] %}\
{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}\
{% endfor %}<end_of_utterance>\n{% endfor %}\
{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

/// The chat template for conversations with videos: the released one with branches for videos and strings. The
/// reference uses it instead of the checkpoint's (transformers 5.24.0, processing_smolvlm.py, `apply_chat_template`).
pub(crate) const VIDEO_CHAT_TEMPLATE: &str = "<|im_start|>{% for message in messages %}\
{{message['role'] | capitalize}}\
{% if message['content'] is string %}{{': ' + message['content']}}{% else %}\
{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}\
{% for line in message['content'] %}\
{% if line['type'] == 'text' %}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}\
{% elif line['type'] == 'video' %}{{ '<video>' }}{% endif %}\
{% endfor %}{% endif %}<end_of_utterance>\n{% endfor %}\
{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

const NAME: &str = "chat_template";

/// Maximum template length in bytes. The engine's parser recurses over chains of operators, in the worst case one level
/// per byte.
const MAX_BYTES: usize = 32 << 10;

/// Stack size for compiling a template of [`MAX_BYTES`]: twice the measured maximum of unoptimized code.
const COMPILE_STACK: usize = 128 << 20;

/// Templates up to this length (such as the released one) compile on the caller's stack.
const SHORT_BYTES: usize = 512;

/// Maximum number of roles that are probed separately if a template fails for all of them together.
const MAX_PROBED_ROLES: usize = 8;

/// Options of chat template rendering.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderOptions {
    /// Whether to append the generation prompt (`Assistant:`).
    pub add_generation_prompt: bool,
    /// Whether to leave the last message open, so that the model continues its text. Excludes `add_generation_prompt`.
    pub continue_final_message: bool,
    /// Additional template variables (`tools`, `documents`, ...); they take precedence over special tokens.
    pub variables: Map<String, serde_json::Value>,
    /// Whether control tokens (`<image>`, `<end_of_utterance>`, ...) in the strings of a conversation and in
    /// `variables` are treated as plain text. Otherwise they act like those of the template. Off by default, as in the
    /// reference.
    ///
    /// [`Processor::process`](crate::Processor::process), `estimate` and `fit` support it; a prompt rendered to a
    /// string cannot represent it.
    pub sanitize_control_tokens: bool,
}

impl RenderOptions {
    /// Options for an answer to the last message.
    pub fn answer() -> Self {
        Self { add_generation_prompt: true, ..Self::plain() }
    }

    /// Options for continuing the text of the last message.
    pub fn continue_final() -> Self {
        Self { continue_final_message: true, ..Self::plain() }
    }

    /// Options for rendering only the messages.
    pub fn plain() -> Self {
        Self {
            add_generation_prompt: false,
            continue_final_message: false,
            variables: Map::new(),
            sanitize_control_tokens: false,
        }
    }

    /// Treats control tokens in the strings of the conversation as plain text.
    #[must_use]
    pub fn sanitized(mut self) -> Self {
        self.sanitize_control_tokens = true;
        self
    }
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self::answer()
    }
}

/// A compiled Jinja chat template in the environment of transformers.
///
/// The work per rendering is bounded: an infinite loop results in an error.
#[derive(Debug)]
pub struct ChatTemplate {
    env: Environment<'static>,
    source: String,
    has_generation_blocks: bool,
}

impl ChatTemplate {
    /// Compiles a template. `fuel` limits the work of one rendering: roughly the number of engine instructions, or of
    /// 64-byte units of text.
    ///
    /// # Errors
    /// [`Error::Template`] with the line.
    pub fn new(source: &str, fuel: u64) -> Result<Self, Error> {
        if source.len() > MAX_BYTES {
            let message = format!("{} bytes long, the limit is {MAX_BYTES}", source.len());
            return Err(Error::Template { line: None, message });
        }
        let source = without_byte_order_mark(source);
        let code = rewrite_tags(source).into_owned();
        let has_generation_blocks = code.contains(&format!("call {GENERATION}()"));
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
        Ok(Self { env: compiled.map_err(template_error)?, source: source.to_owned(), has_generation_blocks })
    }

    /// The template source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the template marks the assistant's text with `{% generation %}` blocks.
    pub fn has_generation_blocks(&self) -> bool {
        self.has_generation_blocks
    }

    /// Sets the work limit, see [`ChatTemplate::new`].
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
        self.render_view(View::new(conversation, special, options), Position::default())
    }

    pub(crate) fn render_view(&self, view: View<'_>, at: Position) -> Result<String, Error> {
        let View { conversation, options, .. } = view;
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
        let view = View { tagged_item: continued.map(|(item, _)| item), ..view };
        let text = self.run(&view, &self.string_forms(&view))?;
        match continued {
            None => Ok(text),
            Some((_, last)) => cut_after_final_text(text, last, at),
        }
    }

    fn run(&self, view: &View<'_>, forms: &[StringForm]) -> Result<String, Error> {
        let template = self.env.get_template(NAME).map_err(template_error)?;
        template.render(view.context(forms)).map_err(template_error)
    }

    /// The form in which each message's content given as a string is passed to the template: a string if the template
    /// prints strings, as a list of one text item if it would drop them. Detected by rendering probes.
    fn string_forms(&self, view: &View<'_>) -> Vec<StringForm> {
        let messages = view.conversation.messages.iter().enumerate();
        let strings = messages.filter(|(_, message)| message.as_string().is_some());
        let strings: Vec<(usize, &str)> = strings.map(|(index, message)| (index, message.role.as_str())).collect();
        let mut forms = vec![StringForm::List; view.conversation.messages.len()];
        let of_role = |wanted: Option<&str>| -> Vec<usize> {
            let fits = |role: &str| wanted.is_none_or(|wanted| wanted == role);
            strings.iter().filter(|(_, role)| fits(role)).map(|(index, _)| *index).collect()
        };
        if !strings.is_empty() && !self.probe(view, &of_role(None), &mut forms) {
            // Some templates accept strings only for some roles, such as `system`.
            let roles: BTreeSet<&str> = strings.iter().map(|(_, role)| *role).collect();
            for role in roles.into_iter().take(MAX_PROBED_ROLES) {
                self.probe(view, &of_role(Some(role)), &mut forms);
            }
        }
        forms
    }

    /// Detects which of the given string messages the template prints; false if rendering fails.
    fn probe(&self, view: &View<'_>, strings: &[usize], forms: &mut [StringForm]) -> bool {
        let form = |index| if strings.contains(&index) { StringForm::Probe } else { StringForm::List };
        let probed: Vec<StringForm> = (0..forms.len()).map(form).collect();
        let Ok(text) = self.run(&View { tagged_item: None, ..*view }, &probed) else { return false };
        let text = text.to_lowercase();
        for (index, form) in forms.iter_mut().enumerate() {
            if strings.contains(&index) && text.contains(&probe(index)) {
                *form = StringForm::String;
            }
        }
        true
    }

    /// Index and text of the last text item of the last message.
    fn continued_text<'c>(&self, conversation: &'c Conversation, at: Position) -> Result<(usize, &'c str), Error> {
        let index = conversation.messages.len().saturating_sub(1);
        let fail = |reason| Error::ContinueFinalMessage { at: at.message(index), reason };
        if !self.source.contains("content") {
            return Err(fail("the chat template does not print message content"));
        }
        let items = conversation.messages.last().map(|message| message.content.iter().enumerate());
        let text = items.into_iter().flatten().rev().find_map(|(item, content)| match content {
            Content::Text(text) => Some((item, text.as_str())),
            Content::Image(_) | Content::Video(_) | Content::Precomputed(_) => None,
        });
        text.ok_or_else(|| fail("the last message holds no text"))
    }
}

/// Cuts the text where the reference does (transformers 5.24.0, utils/chat_template_utils.py, render_jinja_template).
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
        (ErrorKind::OutOfFuel, _) => "exceeds the work limit for one conversation".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    Error::Template { line, message: message.replace('\n', " ") }
}
