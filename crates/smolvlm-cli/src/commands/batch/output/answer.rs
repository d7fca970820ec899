//! A row of the output.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smolvlm::Generation;

/// A row of the output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Identifier of the row of the data set: a string or a number.
    pub id: Value,
    /// The text; none if the row failed.
    pub text: Option<String>,
    /// Why generation stopped.
    pub finish_reason: Option<String>,
    /// Number of prompt tokens, including image tokens.
    pub prompt_tokens: Option<u64>,
    /// Number of generated tokens.
    pub completion_tokens: Option<u64>,
    /// Why the row has no text.
    pub error: Option<String>,
    /// Warnings about images and videos.
    pub notes: Vec<String>,
}

impl Answer {
    /// The answer to a row.
    pub fn new(id: Value, generation: &Generation) -> Self {
        Self {
            id,
            text: Some(generation.text().to_owned()),
            finish_reason: Some(generation.finish_reason.as_str().to_owned()),
            prompt_tokens: Some(generation.prompt_tokens as u64),
            completion_tokens: Some(generation.token_ids.len() as u64),
            error: None,
            notes: generation.notes.iter().map(ToString::to_string).collect(),
        }
    }

    /// A row that failed.
    pub fn failed(id: Value, error: String) -> Self {
        Self {
            id,
            text: None,
            finish_reason: None,
            prompt_tokens: None,
            completion_tokens: None,
            error: Some(error),
            notes: Vec::new(),
        }
    }
}
