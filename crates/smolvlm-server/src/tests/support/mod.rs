//! A server without a network, its model, and backends that misbehave.

pub(super) mod png;

use crate::backend::{Backend, BackendEvent, Events, Outcome};
use crate::config::ServerConfig;
use crate::router::router;
use crate::state::{App, Model, Shared};
use axum::Router;
use axum::body::{Body, BodyDataStream, HttpBody};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use serde_json::{Value, json};
use smolvlm::{Cancel, Device, Error, FinishReason, Options, Prompt, SamplingParams, SmolVlm, Source, Timings};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tower::ServiceExt;

static DEMO: LazyLock<SmolVlm> = LazyLock::new(|| load(&ServerConfig::default()));

/// The demo model with the options of a server.
pub(super) fn load(config: &ServerConfig) -> SmolVlm {
    let options = Options { device: Device::Flex, threads: Some(1), ..Options::default() };
    SmolVlm::load(Source::Demo, config.model_options(options)).unwrap()
}

/// The demo model with the default configuration.
pub(super) fn demo() -> SmolVlm {
    DEMO.clone()
}

pub(super) struct TestServer {
    pub(super) app: Shared,
    router: Router,
}

/// A response that was read completely.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of a response that succeeded.
    pub(super) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// The error of a response with this status.
    pub(super) fn error(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let error = self.json()["error"].clone();
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", self.text);
        assert!(error["type"].is_string(), "{}", self.text);
        error
    }

    /// The data of server-sent events, without `[DONE]` at the end.
    pub(super) fn events(&self) -> Vec<Value> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        assert_eq!(self.headers["content-type"], "text/event-stream");
        let mut data: Vec<&str> = self.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.pop(), Some("[DONE]"));
        data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

impl TestServer {
    /// A server with the demo model.
    pub(super) fn demo() -> Self {
        Self::with(ServerConfig::default(), demo())
    }

    pub(super) fn with(config: ServerConfig, model: SmolVlm) -> Self {
        let server = Self::loading(config);
        server.app.set_model(Model::new(model));
        server
    }

    /// A server whose model is not loaded yet.
    pub(super) fn loading(config: ServerConfig) -> Self {
        let app = Arc::new(App::new(config));
        Self { router: router(Arc::clone(&app)), app }
    }

    /// A server with another backend.
    pub(super) fn fake(config: ServerConfig, backend: impl Backend) -> Self {
        let server = Self::loading(config);
        server.app.set_model(Model { backend: Box::new(backend), ..Model::new(demo()) });
        server
    }

    /// Whether a request would find a place in the queue.
    pub(super) fn has_place(&self) -> bool {
        let (admission, metrics) = (&self.app.admission, &self.app.metrics);
        admission.memory(0, metrics).and_then(|memory| admission.place(memory, metrics)).is_ok()
    }

    pub(super) async fn send(&self, mut request: Request<Body>) -> Answer {
        if let Some(length) = request.body().size_hint().exact() {
            request.headers_mut().insert("content-length", length.into());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()).await
    }

    pub(super) async fn chat(&self, body: Value) -> Answer {
        self.post("/v1/chat/completions", body.to_string()).await
    }

    /// Starts a request and returns the parts of its body.
    pub(super) async fn open(&self, path: &str, body: &Value) -> BodyDataStream {
        let request = Request::post(path).body(Body::from(body.to_string())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().into_data_stream()
    }
}

/// The next part of a body.
pub(super) async fn part(body: &mut BodyDataStream) -> String {
    String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap()
}

/// A request with one user message.
pub(super) fn question(content: impl Into<Value>) -> Value {
    json!({"messages": [{"role": "user", "content": content.into()}], "max_tokens": 8})
}

/// `value` with more fields.
pub(super) fn with(mut value: Value, more: Value) -> Value {
    for (name, field) in more.as_object().unwrap() {
        value[name] = field.clone();
    }
    value
}

/// A file of the repository's `tests/corpus`.
pub(super) fn corpus(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../tests/corpus/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn data_url(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(bytes))
}

/// The image of the demo's world as a data URL.
pub(super) fn shapes() -> String {
    data_url(&corpus("world/shapes.png"))
}

/// A backend that calls a function for each request.
pub(super) struct Fake<F: Fn(SamplingParams, &Cancel) -> Result<Events, Error>>(pub(super) F);

impl<F: Fn(SamplingParams, &Cancel) -> Result<Events, Error> + Send + Sync + 'static> Backend for Fake<F> {
    fn start(&self, _prompt: Prompt, params: SamplingParams, cancel: &Cancel) -> Result<Events, Error> {
        (self.0)(params, cancel)
    }
}

pub(super) fn outcome(finish_reason: FinishReason, tokens: usize) -> BackendEvent {
    BackendEvent::Finished(Box::new(Outcome {
        tokens,
        finish_reason,
        prompt_tokens: 5,
        cached_tokens: 0,
        image_tokens: 0,
        timings: Timings::default(),
    }))
}

/// A generation of given events.
pub(super) fn scripted(events: Vec<Result<BackendEvent, Error>>) -> Events {
    Box::new(events.into_iter())
}

/// A generation that goes on until it is cancelled.
pub(super) fn endless(cancel: &Cancel) -> Events {
    let (seen, mut count) = (cancel.clone(), 0);
    Box::new(std::iter::from_fn(move || {
        std::thread::sleep(Duration::from_millis(1));
        count += 1;
        Some(Ok(match seen.is_cancelled() {
            true => outcome(FinishReason::Cancelled, count - 1),
            false => BackendEvent::Text("a".to_owned()),
        }))
    }))
}

/// Waits until a condition holds.
pub(super) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
