//! Files of conversations, read one by one.

mod items;
mod queue;

pub use queue::{Entry, Queue};

use crate::failure::Failure;

/// What went wrong with a conversation, with its index in the file instead of that in a batch of its own.
pub fn of_conversation(index: usize, failure: Failure) -> String {
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
