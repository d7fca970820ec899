//! Rendered prompts that distinguish user-typed control tokens from those of the template.

use std::fmt;

/// A rendered prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The pieces in order. Each is tokenized separately; a prompt without typed control tokens has only one.
    pub pieces: Vec<Piece>,
}

/// A piece of a [`Prompt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text in which special tokens and placeholders are recognized.
    Text(String),
    /// A user-typed control token, treated as plain text.
    Typed(String),
}

impl Prompt {
    /// Length of the text in bytes.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.text().len()).sum()
    }

    /// The text if it is a single piece of ordinary text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &*self.pieces {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl Piece {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Typed(text) => text,
        }
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self { pieces: vec![Piece::Text(text)] }
    }
}

/// Writes the text of all pieces.
impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| f.write_str(piece.text()))
    }
}
