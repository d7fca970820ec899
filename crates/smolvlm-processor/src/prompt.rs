//! A rendered prompt, in which text that somebody typed is told apart where it matters.

use std::fmt;

/// A rendered prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Its pieces in order. Each is tokenized by itself, so a prompt that needs no more has one.
    pub pieces: Vec<Piece>,
}

/// A piece of a [`Prompt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text in which special tokens and placeholders mean something.
    Text(String),
    /// A control token that was typed: plain characters.
    Typed(String),
}

impl Prompt {
    /// Bytes of the text.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.text().len()).sum()
    }

    /// The text, if all of it is one piece.
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

/// The text as a reader sees it.
impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| f.write_str(piece.text()))
    }
}
