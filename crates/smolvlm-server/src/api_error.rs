//! Errors of requests, with OpenAI's error bodies, and their status codes.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use smolvlm::generate::Error as GenerateError;
use smolvlm::image::Error as ImageError;
use smolvlm::processor::{Error as ProcessorError, Position, VideoError};
use smolvlm::{Error as ModelError, ErrorKind};
use std::fmt::Display;

/// Seconds after which clients should retry a request that was rejected because of load.
const RETRY_AFTER: u64 = 1;

/// The answer to a request that failed. Messages never contain paths, addresses or queries of URLs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    /// The request's parameter at fault.
    pub(crate) param: Option<String>,
    pub(crate) code: Option<&'static str>,
    /// Whether clients should try again after [`RETRY_AFTER`].
    pub(crate) retries: bool,
    /// Tokens of a prompt that is too long, and the model's context length.
    pub(crate) context: Option<[u32; 2]>,
    /// The cause, for the log only.
    pub(crate) cause: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, kind, message, param: None, code: None, retries: false, context: None, cause: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// An invalid parameter. The message starts with its name.
    pub(crate) fn param(name: &str, problem: impl AsRef<str>) -> Self {
        Self::invalid(format!("{name} {}", problem.as_ref())).at(name)
    }

    pub(crate) fn unsupported(name: &str, problem: impl AsRef<str>) -> Self {
        Self::param(name, problem).code("unsupported")
    }

    pub(crate) fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "missing or wrong API key; send it as `Authorization: Bearer KEY`";
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", message).code("invalid_api_key")
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_error", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found_error", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
    }

    pub(crate) fn queue_full() -> Self {
        let message = "too many requests are waiting; try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message).code("queue_full").retry()
    }

    pub(crate) fn unavailable(message: impl Into<String>, code: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", message).code(code).retry()
    }

    pub(crate) fn stopping() -> Self {
        Self::unavailable("the server is stopping", "draining")
    }

    pub(crate) fn timed_out() -> Self {
        let message = "the time limit of requests passed before there was an answer; send fewer or smaller images";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message).code("timeout")
    }

    /// A failure that the request did not cause. The cause is logged, not sent.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let message = "the server failed to answer this request; its log has the cause";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message);
        error.cause = Some(cause.into());
        error
    }

    fn retry(mut self) -> Self {
        self.retries = true;
        self
    }

    /// The prompt is longer than the model's context.
    fn exceeds_context(prompt: usize, context: usize) -> Self {
        // Clients recognize this error by its first words, where they do not read its code.
        let message = format!(
            "the prompt is too long: it has {prompt} tokens, and the model's context length is {context}; send fewer \
             images or less text"
        );
        let error = Self::new(StatusCode::BAD_REQUEST, "exceed_context_size_error", message);
        Self {
            context: Some([prompt, context].map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX))),
            ..error.code("context_length_exceeded").at("messages")
        }
    }

    /// The error of a request whose prompt is not a list of messages.
    pub(crate) fn of_prompt(mut self) -> Self {
        if self.param.as_deref().is_some_and(|param| param.starts_with("messages")) {
            self.param = Some("prompt".to_owned());
        }
        self
    }

    /// The error body `{"error": {...}}`.
    pub(crate) fn body(&self) -> Value {
        let Self { kind, message, param, code, .. } = self;
        let mut error = json!({"message": message, "type": kind, "param": param, "code": code});
        if let Some([prompt, context]) = self.context {
            error["n_prompt_tokens"] = json!(prompt);
            error["n_ctx"] = json!(context);
        }
        json!({"error": error})
    }

    /// The response with another body.
    pub(crate) fn respond(&self, body: Value) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        if self.retries {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.respond(self.body())
    }
}

impl From<ModelError> for ApiError {
    fn from(error: ModelError) -> Self {
        match &error {
            ModelError::PromptTooLong { prompt, context, .. } => Self::exceeds_context(*prompt, *context),
            ModelError::Processor(inner) => Self::from_processor(inner),
            ModelError::Question { index, field, problem } => {
                let param = format!("questions[{index}].{field}");
                Self::invalid(format!("{param}: {problem}")).at(param)
            }
            ModelError::Calibration { message } => Self::param("calibration", format!("is invalid: {message}")),
            ModelError::TooManySequences { .. } => {
                let mut busy = Self::unavailable("the request needs more memory than is free now", "out_of_memory");
                busy.cause = Some(error.to_string());
                busy
            }
            ModelError::Generate(GenerateError::ConstraintBusy { .. }) => {
                Self::unavailable(error.to_string(), "constraint_not_compiled")
            }
            _ => match error.kind() {
                ErrorKind::Input | ErrorKind::Limit => Self::invalid(error.to_string()),
                _ => Self::internal(error.to_string()),
            },
        }
    }
}

impl From<ProcessorError> for ApiError {
    fn from(error: ProcessorError) -> Self {
        Self::from_processor(&error)
    }
}

impl ApiError {
    fn from_processor(error: &ProcessorError) -> Self {
        let text = error.to_string();
        match error {
            ProcessorError::TooLong { tokens, limit } => Self::exceeds_context(*tokens, *limit),
            ProcessorError::Conversation { at, .. }
            | ProcessorError::Base64 { at, .. }
            | ProcessorError::Url { at, .. }
            | ProcessorError::IsVideo { at }
            | ProcessorError::ContinueFinalMessage { at, .. } => Self::invalid(text).at(param_of(*at)),
            ProcessorError::NotAllowed { at, .. } => Self::invalid(text).at(param_of(*at)).code("media_not_allowed"),
            ProcessorError::Http { at, .. } => {
                let error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request_error", text);
                error.at(param_of(*at)).code("media_not_fetched")
            }
            ProcessorError::Image { at, source } => {
                let text = image_limit(source).map_or(text, |limit| format!("{at}{limit}"));
                Self::invalid(text).at(param_of(*at)).code("invalid_media")
            }
            ProcessorError::Video { at, source } => {
                let text = video_limit(source).map_or(text, |limit| format!("{at}{limit}"));
                Self::invalid(text).at(param_of(*at)).code("invalid_media")
            }
            ProcessorError::ImageCount { placeholders, images, .. } => {
                let message = format!("the prompt has {placeholders} image tokens, and {images} images were sent");
                Self::invalid(message).at("messages")
            }
            ProcessorError::TooManyTiles { tiles, limit } => {
                let message = format!("the images have at least {tiles} tiles; the limit is {limit}; send fewer");
                Self::invalid(message).at("messages").code("too_many_media")
            }
            ProcessorError::TooManyMedia { at, limit } => {
                let message = format!("{at}more than {limit} images and frames in one request; send fewer");
                Self::invalid(message).at("messages").code("too_many_media")
            }
            ProcessorError::TooLarge { .. } => Self::too_large(text),
            ProcessorError::Json { message, .. } => {
                Self::invalid(format!("messages is invalid: {message}")).at("messages")
            }
            // Messages with paths.
            ProcessorError::Io { .. } => Self::invalid("a media file cannot be read").at("messages"),
            ProcessorError::File { .. }
            | ProcessorError::Config(_)
            | ProcessorError::MissingTemplate
            | ProcessorError::MissingToken { .. }
            | ProcessorError::PolicyValue { .. }
            | ProcessorError::TileEdges { .. }
            | ProcessorError::ImageTokens { .. }
            | ProcessorError::Tokenizer { .. } => Self::internal(text),
            _ => Self::invalid(text).at("messages"),
        }
    }
}

/// The message for an image that exceeds a limit, without the options of the server that raise it.
fn image_limit(error: &ImageError) -> Option<String> {
    match error {
        ImageError::Limit { what, found, limit, .. } => Some(exceeds(what, *found, *limit)),
        ImageError::File { source, .. } => image_limit(source),
        _ => None,
    }
}

/// [`image_limit`] for a video.
fn video_limit(error: &VideoError) -> Option<String> {
    match error {
        VideoError::Limit { what, found, limit, .. } => Some(exceeds(what, *found, *limit)),
        VideoError::TooManyImages { frames, limit } => Some(exceeds("the number of frames", *frames, *limit)),
        VideoError::Frame { source, .. } => image_limit(source),
        VideoError::Deadline { .. } => Some("the video was not decoded in time; send a shorter one".to_owned()),
        _ => None,
    }
}

fn exceeds(what: &str, found: impl Display, limit: impl Display) -> String {
    format!("{what} is {found}, more than the limit of {limit}")
}

/// The position of a message or content part, as in `messages[0].content[1]`.
fn param_of(at: Position) -> String {
    let mut param = "messages".to_owned();
    if let Some(message) = at.message {
        param += &format!("[{message}]");
        if let Some(item) = at.item {
            param += &format!(".content[{item}]");
        }
    }
    param
}
