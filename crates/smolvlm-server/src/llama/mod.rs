//! Routes of llama.cpp's server: tokens, templates and properties of the model.

pub(crate) mod props;
pub(crate) mod template;
pub(crate) mod tokens;

use crate::api_error::ApiError;

/// Runs work that takes processor time away from the threads of connections. A panic fails only this request.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(ApiError::internal("a worker panicked")))
}
