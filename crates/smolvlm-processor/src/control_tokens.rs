//! Detection of control tokens in user text, as opposed to those that the chat template writes (transformers 5.24.0,
//! utils/chat_template_utils.py, `mark_control_tokens`).

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::error::Error;
use crate::prompt::{Piece, Prompt};

/// Marker before a user-typed control token in a rendered prompt.
const START: char = '\u{f0000}';

/// Marker after a user-typed control token.
const END: char = '\u{f0001}';

/// The tokens that have a special meaning and must not take effect when a user types them.
#[derive(Debug)]
pub(crate) struct ControlTokens {
    tokens: BTreeSet<String>,
    /// Matches the tokens in a text; the longest match wins.
    finder: AhoCorasick,
}

impl ControlTokens {
    /// Collects the special tokens of a tokenizer and those of its other added tokens that occur in the chat template,
    /// except whitespace. `placeholder` is an additional string to escape that is not a token.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the token matcher cannot be built, such as for too many tokens.
    pub(crate) fn new(tokenizer: &Tokenizer, template: &str, placeholder: Option<&str>) -> Result<Self, Error> {
        let added = tokenizer.get_added_tokens_decoder();
        let of_template = |token: &str| template.contains(token) && !token.trim().is_empty();
        let control = added.values().filter(|token| token.special || of_template(&token.content));
        let contents = control.map(|token| token.content.as_str()).chain(placeholder);
        let tokens: BTreeSet<String> = contents.filter(|token| !token.is_empty()).map(str::to_owned).collect();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&tokens);
        let finder = finder.map_err(|error| Error::Tokenizer { message: error.to_string() })?;
        Ok(Self { tokens, finder })
    }

    /// Returns the text with markers around every control token. Markers already in the text are removed, so they
    /// cannot be forged.
    pub(crate) fn mark(&self, text: &str) -> String {
        let text = text.replace([START, END], "");
        let mut out = String::with_capacity(text.len());
        self.finder.replace_all_with(&text, &mut out, |_, token, out| {
            out.push(START);
            out.push_str(token);
            out.push(END);
            true
        });
        out
    }

    /// Marks all strings in a JSON value except object keys.
    pub(crate) fn mark_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.mark(text).into(),
            Value::Array(items) => items.iter().map(|item| self.mark_json(item)).collect(),
            Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), self.mark_json(value))).collect(),
            other => other.clone(),
        }
    }

    /// Splits a rendered text at its markers. If a template separated a pair of markers, the stray marker is removed
    /// and the text is still split there, so that the parts cannot merge into a token.
    pub(crate) fn split(&self, text: &str) -> Prompt {
        let mut prompt = Prompt { pieces: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.find([START, END]) {
            prompt.pieces.push(Piece::Text(rest[..at].to_owned()));
            let after = &rest[at..];
            let typed = after.strip_prefix(START).and_then(|after| {
                let (token, rest_of_text) = after.split_once(END)?;
                self.tokens.contains(token).then_some((token, rest_of_text))
            });
            rest = match typed {
                Some((token, rest_of_text)) => {
                    prompt.pieces.push(Piece::Typed(token.to_owned()));
                    rest_of_text
                }
                None => after.strip_prefix([START, END]).unwrap_or_default(),
            };
        }
        prompt.pieces.push(Piece::Text(rest.to_owned()));
        prompt
    }
}
