//! Control tokens that somebody typed, told apart from those that the chat template writes
//! (transformers 5.24.0, utils/chat_template_utils.py, `mark_control_tokens`).

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::error::Error;
use crate::prompt::{Piece, Prompt};

/// Stands before a typed control token in a rendered prompt.
const START: char = '\u{f0000}';

/// Stands after it.
const END: char = '\u{f0001}';

/// Tokens with a meaning beyond their characters: those that must not be typed.
#[derive(Debug)]
pub(crate) struct ControlTokens {
    tokens: BTreeSet<String>,
    /// Finds them in a text; a token goes before those that it contains.
    finder: AhoCorasick,
}

impl ControlTokens {
    /// The special tokens of a tokenizer, and those of its other added tokens that the chat template contains, blanks left
    /// out. `placeholder` is one more, for what means something without being a token.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for more tokens than can be looked for.
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

    /// The text with marks around every control token. Marks that are in it already are dropped: nobody can forge one.
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

    /// JSON with all strings marked but the keys of objects.
    pub(crate) fn mark_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.mark(text).into(),
            Value::Array(items) => items.iter().map(|item| self.mark_json(item)).collect(),
            Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), self.mark_json(value))).collect(),
            other => other.clone(),
        }
    }

    /// Cuts a rendered text at its marks. A template may tear the marks of a token apart: such a mark is dropped, and the
    /// text is cut there all the same, so that its parts do not join to a token.
    pub(crate) fn cut(&self, text: &str) -> Prompt {
        let mut prompt = Prompt { pieces: Vec::new() };
        let mut rest = text;
        while let Some(at) = rest.find([START, END]) {
            prompt.pieces.push(Piece::Text(rest[..at].to_owned()));
            let after = &rest[at..];
            let typed = after.strip_prefix(START).and_then(|after| {
                let (token, behind) = after.split_once(END)?;
                self.tokens.contains(token).then_some((token, behind))
            });
            rest = match typed {
                Some((token, behind)) => {
                    prompt.pieces.push(Piece::Typed(token.to_owned()));
                    behind
                }
                None => after.strip_prefix([START, END]).unwrap_or_default(),
            };
        }
        prompt.pieces.push(Piece::Text(rest.to_owned()));
        prompt
    }
}
