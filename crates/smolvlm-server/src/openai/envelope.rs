//! The fields around the choices of responses and chunks.

use crate::answer::usage::Totals;
use crate::state::{App, unix_time};
use serde_json::{Value, json};

/// Identifies the server in responses.
const FINGERPRINT: &str = concat!("smolvlm-", env!("CARGO_PKG_VERSION"));

/// The fields around the choices of a response.
pub(super) struct Envelope {
    id: String,
    /// Type of the response or its parts.
    object: &'static str,
    created: u64,
    model: String,
    /// Whether a stream ends with the numbers of tokens.
    include_usage: bool,
}

impl Envelope {
    /// The envelope of a response whose id starts with `prefix`.
    pub(super) fn new(app: &App, prefix: &str, object: &'static str, include_usage: bool) -> Self {
        let model = app.config.model_name.clone();
        Self { id: app.new_id(prefix), object, created: unix_time(), model, include_usage }
    }

    fn object(&self, choices: Value) -> Value {
        let Self { id, object, created, model, .. } = self;
        json!({"id": id, "object": object, "created": created, "model": model, "system_fingerprint": FINGERPRINT,
            "choices": choices})
    }

    /// A complete response.
    pub(super) fn response(&self, choices: Value, totals: &Totals) -> Value {
        let mut response = self.object(choices);
        response["usage"] = totals.usage();
        response["timings"] = totals.timings();
        response
    }

    /// A part of a stream.
    pub(super) fn chunk(&self, choices: Value) -> String {
        let mut chunk = self.object(choices);
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk.to_string()
    }

    /// The last parts of a stream.
    pub(super) fn end(&self, totals: &Totals) -> Vec<String> {
        let usage = self.include_usage.then(|| self.response(json!([]), totals).to_string());
        usage.into_iter().chain(["[DONE]".to_owned()]).collect()
    }
}
