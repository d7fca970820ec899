//! Streamed responses: server-sent events and JSON lines.

use crate::generation::{Event, Generation};
use axum::body::Body;
use axum::http::header;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

/// The form of the parts of a stream.
pub(crate) trait Chunks: Send + 'static {
    /// The parts for an event, which may be none.
    fn chunks(&mut self, event: Event) -> Vec<String>;
}

/// Converts the events of a request to parts. Dropping it, as when the client disconnects, cancels the request.
struct Parts<C> {
    generation: Generation,
    chunks: C,
    pending: VecDeque<String>,
    ended: bool,
}

impl<C: Chunks> Parts<C> {
    fn new(generation: Generation, chunks: C) -> Self {
        Self { generation, chunks, pending: VecDeque::new(), ended: false }
    }

    async fn next(&mut self) -> Option<String> {
        while self.pending.is_empty() && !self.ended {
            let event = self.generation.next().await;
            self.ended = matches!(event, Event::Done(_) | Event::Failed(_));
            self.pending.extend(self.chunks.chunks(event));
        }
        self.pending.pop_front()
    }
}

/// Server-sent events, with comments while there are none.
pub(crate) fn sse(generation: Generation, chunks: impl Chunks, ping: Duration) -> Response {
    let events = stream::unfold(Parts::new(generation, chunks), |mut parts| async move {
        let data = parts.next().await?;
        Some((Ok::<_, Infallible>(SseEvent::default().data(data)), parts))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ping).text("ping")).into_response();
    // Buffering proxies would hold the stream back.
    response.headers_mut().insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    response
}

/// One JSON object per line.
pub(crate) fn json_lines(generation: Generation, chunks: impl Chunks) -> Response {
    let lines = stream::unfold(Parts::new(generation, chunks), |mut parts| async move {
        let line = parts.next().await?;
        Some((Ok::<_, Infallible>(line + "\n"), parts))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
