//! All routes.

use crate::api_error::ApiError;
use crate::state::Shared;
use crate::{decisions, health, llama, ollama, openai, openapi, page, security};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};

/// The paths of all routes of the API.
#[cfg(test)]
pub(crate) fn paths() -> Vec<String> {
    let versioned = versioned().into_iter().flat_map(|(path, _)| [path.to_owned(), format!("/v1{path}")]);
    versioned.chain(others().into_iter().map(|(path, _)| path.to_owned())).collect()
}

/// Routes with and without `/v1` in front.
fn versioned() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/chat/completions", post(openai::chat::create)),
        ("/chat/completions/input_tokens", post(llama::template::input_tokens)),
        ("/completions", post(openai::completions::create)),
        ("/decisions", post(decisions::create)),
        ("/models", get(openai::models::list)),
        ("/models/{*id}", get(openai::models::get)),
        ("/health", get(health::health)),
        ("/tokenize", post(llama::tokens::tokenize)),
        ("/detokenize", post(llama::tokens::detokenize)),
        ("/apply-template", post(llama::template::apply)),
        ("/props", get(llama::props::get)),
    ]
}

/// Routes with one path.
fn others() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/metrics", get(metrics)),
        ("/api/chat", post(ollama::chat::create)),
        ("/api/generate", post(ollama::generate::create)),
        ("/api/tags", get(ollama::models::tags)),
        ("/api/ps", get(ollama::models::running)),
        ("/api/show", post(ollama::models::show)),
        ("/openapi.json", get(openapi::describe)),
        ("/api/version", get(ollama::models::version)),
    ]
}

async fn metrics(State(app): State<Shared>) -> impl IntoResponse {
    let engine = app.model().map(|model| model.smolvlm.engine_stats());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render(engine))
}

pub(crate) fn router(app: Shared) -> Router {
    let mut router = Router::new();
    for (path, route) in versioned() {
        router = router.route(path, route.clone()).route(&format!("/v1{path}"), route);
    }
    for (path, route) in others().into_iter().chain(page::routes()) {
        router = router.route(path, route);
    }
    router
        .fallback(|| async { ApiError::not_found("there is no such path; /openapi.json describes all") })
        .method_not_allowed_fallback(|| async {
            ApiError { status: StatusCode::METHOD_NOT_ALLOWED, ..ApiError::invalid("wrong HTTP method") }
        })
        .layer(DefaultBodyLimit::max(app.config.max_body_bytes))
        .layer(middleware::from_fn_with_state(app.clone(), security::guard))
        .layer(security::cors(&app.config.cors_origins))
        .with_state(app)
}
