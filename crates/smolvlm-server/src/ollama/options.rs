//! The fields that chat and generate requests share.

use crate::api_error::ApiError;
use crate::request::fields::Fields;
use crate::request::params::{self, AnswerParams};
use crate::request::{constraint, number};
use crate::state::{App, Model};
use serde_json::Value;
use smolvlm::{ImageSource, Message};

/// Takes the fields that chat and generate requests share: parameters, and whether to stream.
pub(super) fn parse(fields: &mut Fields<'_>, app: &App, model: &Model) -> Result<(AnswerParams, bool), ApiError> {
    reject_unsupported(fields)?;
    let mut answer = AnswerParams::default(app, model);
    let mut options = fields.object("options", "options.")?;
    params::sample(&mut answer.sampling, &mut options)?;
    params::penalize(&mut answer.sampling, &mut options, &number::REPEAT_PENALTY)?;
    answer.predict(&mut options, &number::NUM_PREDICT, model)?;
    let stop = params::stop(&mut options)?;
    answer.set_stop(stop);
    answer.constrain(constraint::format(fields)?);
    Ok((answer, fields.flag("stream")?.unwrap_or(true)))
}

fn reject_unsupported(fields: &mut Fields<'_>) -> Result<(), ApiError> {
    for name in ["tools", "template", "suffix", "context"] {
        let value: Option<Value> = fields.take(name, "absent")?;
        let is_set = value.is_some_and(|value| match value {
            Value::Bool(flag) => flag,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        });
        if is_set {
            return Err(ApiError::unsupported(name, "is not supported by this server; leave it out"));
        }
    }
    Ok(())
}

/// A message with images before its text, as Ollama orders them.
pub(super) fn message(role: &str, text: String, images: Vec<String>) -> Message {
    let message =
        images.into_iter().fold(Message::new(role), |message, image| message.image(ImageSource::Base64(image)));
    if text.is_empty() && !message.content.is_empty() { message } else { message.text(text) }
}
