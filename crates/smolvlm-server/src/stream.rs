//! Streamed responses: server-sent events and JSON lines.

use crate::generation::{Generation, GenerationEvent};
use axum::body::Body;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

/// Encodes events as chunks of a response.
pub(crate) trait ChunkEncoder: Send + 'static {
    /// The chunks for an event, which may be none.
    fn encode(&mut self, event: GenerationEvent) -> Vec<String>;
}

/// The chunks of a running request. Dropping them, as when the client disconnects, cancels the request.
struct Chunks<E> {
    generation: Generation,
    encoder: E,
    pending: VecDeque<String>,
    ended: bool,
}

impl<E: ChunkEncoder> Chunks<E> {
    fn new(generation: Generation, encoder: E) -> Self {
        Self { generation, encoder, pending: VecDeque::new(), ended: false }
    }

    async fn next(&mut self) -> Option<String> {
        while self.pending.is_empty() && !self.ended {
            let event = self.generation.next().await;
            self.ended = matches!(event, GenerationEvent::Done(_) | GenerationEvent::Failed(_));
            self.pending.extend(self.encoder.encode(event));
        }
        self.pending.pop_front()
    }
}

/// Server-sent events, with comments while there are none.
pub(crate) fn sse(generation: Generation, encoder: impl ChunkEncoder, ping: Duration) -> Response {
    let events = stream::unfold(Chunks::new(generation, encoder), |mut chunks| async move {
        let data = chunks.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(data)), chunks))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ping).text("ping")).into_response();
    // Buffering proxies would hold the stream back.
    response.headers_mut().insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    response
}

/// One JSON object per line.
pub(crate) fn json_lines(generation: Generation, encoder: impl ChunkEncoder) -> Response {
    let lines = stream::unfold(Chunks::new(generation, encoder), |mut chunks| async move {
        let line = chunks.next().await?;
        Some((Ok::<_, Infallible>(line + "\n"), chunks))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
