//! The chunks of streamed chat responses.

use crate::generation::GenerationEvent;
use crate::openai::chat::logprobs;
use crate::openai::envelope::Envelope;
use crate::stream::ChunkEncoder;
use serde_json::{Value, json};

/// Converts events to chunks.
pub(crate) struct ChatChunks {
    envelope: Envelope,
    has_logprobs: bool,
    /// The answer whose first chunk was sent.
    started: Option<usize>,
}

impl ChatChunks {
    pub(crate) fn new(envelope: Envelope, has_logprobs: bool) -> Self {
        Self { envelope, has_logprobs, started: None }
    }

    /// The first chunk of an answer.
    fn start(&mut self, index: usize) -> Vec<String> {
        if self.started == Some(index) {
            return Vec::new();
        }
        self.started = Some(index);
        vec![self.chunk(index, json!({"role": "assistant", "content": null}), Value::Null, None)]
    }

    fn chunk(&self, index: usize, delta: Value, logprobs: Value, finish: Option<&str>) -> String {
        let choice = json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish});
        self.envelope.chunk(json!([choice]))
    }
}

impl ChunkEncoder for ChatChunks {
    fn encode(&mut self, event: GenerationEvent) -> Vec<String> {
        match event {
            GenerationEvent::Started => Vec::new(),
            GenerationEvent::Text { index, text, tokens } => {
                let mut chunks = self.start(index);
                let logprobs = if self.has_logprobs { logprobs(&tokens) } else { Value::Null };
                chunks.push(self.chunk(index, json!({"content": text}), logprobs, None));
                chunks
            }
            GenerationEvent::Finished { index, finish } => {
                let mut chunks = self.start(index);
                chunks.push(self.chunk(index, json!({}), Value::Null, Some(finish)));
                chunks
            }
            GenerationEvent::Done(totals) => self.envelope.end(&totals),
            GenerationEvent::Failed(error) => vec![error.body().to_string()],
        }
    }
}
