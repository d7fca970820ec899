//! The API of OpenAI.

pub(crate) mod chat;
mod chat_stream;
pub(crate) mod completions;
mod envelope;
pub(crate) mod models;

use crate::api_error::ApiError;
use crate::request::fields::Fields;

/// Delivery of a response, at once or streamed.
#[derive(Clone, Copy)]
struct Delivery {
    /// Whether it is streamed.
    stream: bool,
    /// Whether a stream ends with the numbers of tokens.
    include_usage: bool,
}

impl Delivery {
    fn parse(fields: &mut Fields<'_>) -> Result<Self, ApiError> {
        let stream = fields.flag("stream")?.unwrap_or(false);
        let mut options = fields.object("stream_options", "stream_options.")?;
        Ok(Self { stream, include_usage: options.flag("include_usage")?.unwrap_or(false) })
    }
}
