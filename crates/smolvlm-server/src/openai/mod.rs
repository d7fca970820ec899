//! The API of OpenAI.

pub(crate) mod chat;
mod chat_stream;
pub(crate) mod completions;
pub(crate) mod models;

use crate::state::{App, unix_time};
use serde_json::{Value, json};

/// What all parts of a response share.
pub(crate) struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    fn new(app: &App, prefix: &str) -> Self {
        Self { id: app.new_id(prefix), created: unix_time(), model: app.config.model_name.clone() }
    }

    /// A response, or a part of it.
    fn object(&self, object: &str, choices: Value) -> Value {
        let Self { id, created, model } = self;
        json!({"id": id, "object": object, "created": created, "model": model, "choices": choices})
    }
}
