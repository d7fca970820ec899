//! The body of a request: its size, its time of arrival, and its number of JSON values.

use crate::admission::{self, Place};
use crate::api_error::ApiError;
use crate::state::{Model, Shared};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use std::sync::Arc;
use tokio::time::Instant;

/// Maximum number of values in a body. A parsed value takes many times its bytes of memory.
const MAX_VALUES: usize = 200_000;

/// A request with a place in the queue, whose body was read and nothing else.
pub(crate) struct Admitted {
    pub(crate) model: Arc<Model>,
    pub(crate) body: Bytes,
    pub(crate) place: Place,
    pub(crate) arrival: Instant,
}

impl FromRequest<Shared> for Admitted {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, ApiError> {
        let (model, arrival) = (app.ready()?, Instant::now());
        let limit = app.config.max_body_bytes;
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(limit);
        let mut memory = app.admission.memory(length.min(limit), &app.metrics)?;
        let read = Bytes::from_request(request, app);
        let body = match tokio::time::timeout(app.config.body_timeout, read).await {
            Ok(Ok(body)) => body,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(ApiError::too_large(format!(
                    "the request is larger than the limit of {limit} bytes; send fewer or smaller images"
                )));
            }
            Ok(Err(_)) => return Err(ApiError::invalid("the request's body did not arrive completely")),
            Err(_) => {
                let message = "the request's body did not arrive in time";
                return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout_error", message));
            }
        };
        admission::shrink(&mut memory, body.len());
        // A body that arrives slowly must not keep a place.
        let place = app.admission.place(memory, &app.metrics)?;
        if values(&body) > MAX_VALUES {
            return Err(ApiError::invalid(format!("the request has more than {MAX_VALUES} JSON values; send fewer")));
        }
        Ok(Self { model, body, place, arrival })
    }
}

/// An upper bound of the number of values in a JSON text: those outside of strings follow one of these characters.
fn values(json: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' | b':' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn values_in_strings_are_not_counted() {
        assert_eq!(values(br#""[,,,\",,\\""#), 1);
        assert_eq!(values(b"[1,2]"), 3);
        assert!(values(&[b'['; 300_000]) > super::MAX_VALUES);
    }
}
