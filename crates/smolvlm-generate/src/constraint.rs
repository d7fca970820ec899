//! Constrained output: texts that match a JSON schema, a regular expression, a grammar or one of several choices.

#[cfg(feature = "constrain")]
mod compiler;
#[cfg(feature = "constrain")]
mod grammar;
#[cfg(feature = "constrain")]
mod intersections;
#[cfg(feature = "constrain")]
mod lark;
#[cfg(feature = "constrain")]
mod limits;
#[cfg(feature = "constrain")]
mod recent;
#[cfg(feature = "constrain")]
mod slots;
#[cfg(feature = "constrain")]
mod state;
#[cfg(feature = "constrain")]
mod vocabulary;

#[cfg(feature = "constrain")]
pub use compiler::ConstraintCompiler;
#[cfg(feature = "constrain")]
pub use state::ConstraintState;
#[cfg(feature = "constrain")]
pub use vocabulary::Vocabulary;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What generated texts must match. Serialized as an object with one of the keys `json_schema`, `regex`, `lark` and
/// `choices`.
///
/// A text that ends at its maximum length, at a stop string or by cancellation is only the start of a match. Each byte
/// of a literal is a state of the lexer, of which there are 20,000 at most: longer literals and lists of choices are
/// errors, when the constraint is compiled or when a text has used all states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Constraint {
    /// JSON that is valid for a JSON schema, with its properties in the schema's order and one space after each comma
    /// and colon. Other keywords of JSON Schema are errors that name them, words that the schema's draft does not
    /// define are ignored; references (`$ref`) within the schema are supported. The key `x-guidance` of the schema sets
    /// llguidance's options.
    JsonSchema(Value),
    /// A text that matches a regular expression as a whole, in the syntax of Rust's `regex` without look-around,
    /// back-references and word boundaries. `\d` is any digit of Unicode; `[0-9]` those of ASCII.
    Regex(String),
    /// A text of a context-free grammar in llguidance's variant of the Lark syntax, which starts at the rule `start`.
    /// `<name>` is a special token.
    Lark(String),
    /// One of these texts.
    Choices(Vec<String>),
}

impl Constraint {
    /// JSON objects with any content.
    pub fn json_object() -> Self {
        Self::JsonSchema(json!({"type": "object"}))
    }

    /// One of these texts.
    pub fn choices(choices: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Choices(choices.into_iter().map(Into::into).collect())
    }
}
