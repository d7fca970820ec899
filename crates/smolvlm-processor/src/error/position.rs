//! Positions in conversations, the prefix of error messages.

use std::fmt;

use super::{Error, Problem};

/// A position in a batch of conversations; all indices start at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// Index of the conversation, if there are several.
    pub conversation: Option<usize>,
    /// Index of the message.
    pub message: Option<usize>,
    /// Index of the content item within the message.
    pub item: Option<usize>,
}

impl Position {
    pub(crate) fn conversation(index: Option<usize>) -> Self {
        Self { conversation: index, message: None, item: None }
    }

    pub(crate) fn message(self, index: usize) -> Self {
        Self { message: Some(index), item: None, ..self }
    }

    pub(crate) fn item(self, index: usize) -> Self {
        Self { item: Some(index), ..self }
    }

    pub(crate) fn error(self, problem: Problem) -> Error {
        Error::Conversation { at: self, problem }
    }
}

/// Formats as `conversation 1, message 0, item 2: `, or as an empty string without any index.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("conversation", self.conversation), ("message", self.message), ("item", self.item)];
        let mut separator = "";
        for (name, index) in parts {
            if let Some(index) = index {
                write!(f, "{separator}{name} {index}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() { Ok(()) } else { f.write_str(": ") }
    }
}
