//! Streaming of conversations from a file.

mod items;
mod queue;

pub use items::{Item, Items};
pub use queue::{Entry, Queue};

use crate::failure::Failure;

/// The message of a conversation's error, with its index in the file instead of the batch.
pub fn error_message(index: usize, failure: Failure) -> String {
    match failure {
        Failure::Conversation { path, source } => format!("{}: conversation {index}: {source}", path.display()),
        failure @ Failure::Read { .. } => failure.to_string(),
        failure => {
            let text = failure.to_string();
            match text.strip_prefix("conversation 0") {
                Some(rest) => format!("conversation {index}{rest}"),
                None => format!("conversation {index}: {text}"),
            }
        }
    }
}
