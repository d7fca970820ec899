//! State of a batch of rows that are decoded together, with steps that run ahead of the host.

use super::attention::CHUNK;
use super::decoder::Decoder;
use super::weights::{Cache, Sizes};
use cubecl::bytes::Bytes;
use cubecl::client::Graph;
use cubecl::future::reader::read_sync;
use cubecl::prelude::*;
use cubecl::server::{Handle, ServerError};
use cubecl_environment::stream::StreamId;

/// A batch of rows that are decoded together.
pub struct DecodeBatch {
    client: Client,
    stream: StreamId,
    pub(super) cache: Cache,
    pub(super) count: usize,
    pub(super) buffers: Buffers,
    /// Tokens in the cache after the last requested step.
    len: usize,
    /// Whether the GPU has already launched the next step, with the tokens of its own argmax.
    ahead: bool,
    recording: Recording,
}

/// Buffers that a step reads and writes.
pub(super) struct Buffers {
    pub(super) len: Handle,
    pub(super) padding: Handle,
    pub(super) tokens: Handle,
    pub(super) hidden: Handle,
    pub(super) projected: Handle,
    pub(super) attended: Handle,
    pub(super) chunks: Handle,
    pub(super) chunk_weights: Handle,
    pub(super) gated: Handle,
    pub(super) logits: Handle,
    pub(super) found: Handle,
}

/// Recording of all launches of a step as one graph. All their memory must belong to the stream that records.
enum Recording {
    /// No step has been launched yet.
    None,
    /// A step was launched kernel by kernel, so all kernels are compiled.
    Compiled,
    /// The recorded graph, replayed on the same stream.
    Done(Graph),
    /// The device does not support recording, or memory belongs to other streams.
    Impossible,
}

impl DecodeBatch {
    /// Creates a batch whose cache holds `len` tokens, of which the first `padding` of each row are masked.
    pub fn new(decoder: &Decoder, cache: Cache, len: usize, padding: &[u32]) -> Self {
        let Sizes { hidden, inner, heads, kv_heads, head_dim, vocabulary, .. } = decoder.sizes;
        let (client, count) = (&decoder.client, padding.len());
        let floats = |values: usize| client.empty(4 * count * values);
        let words = |values: &[u32]| client.create_from_slice(u32::as_bytes(values));
        let chunks = cache.capacity.div_ceil(CHUNK as usize);
        let several = if chunks > 1 { chunks } else { 0 };
        let buffers = Buffers {
            len: words(&[len as u32]),
            padding: words(padding),
            tokens: words(&vec![0; count]),
            hidden: floats(hidden),
            projected: floats((heads + 2 * kv_heads) * head_dim),
            attended: floats(heads * head_dim),
            chunks: floats((several * heads * head_dim).max(1)),
            chunk_weights: floats((several * heads * 2).max(1)),
            gated: floats(inner),
            logits: floats(vocabulary),
            found: words(&vec![0; 4 * count]),
        };
        let here = StreamId::current();
        let together = decoder.weights.handles().chain(cache.handles()).all(|handle| handle.stream == here);
        let recording = if together { Recording::None } else { Recording::Impossible };
        Self { client: client.clone(), stream: here, cache, count, buffers, len, ahead: false, recording }
    }

    /// Launches a step that runs one token of each row and computes the argmax of the logits; `None` stands for the
    /// tokens of the last argmax. Does not wait. There must be room in the cache.
    pub fn step(&mut self, decoder: &Decoder, tokens: Option<&[u32]>) {
        let write = |handle: &Handle, words: &[u32]| {
            decoder.client.write(handle, Bytes::from_bytes_vec(u32::as_bytes(words).to_vec()));
        };
        if let Some(tokens) = tokens {
            write(&self.buffers.tokens, tokens);
            if std::mem::take(&mut self.ahead) {
                write(&self.buffers.len, &[self.len as u32]);
            }
        }
        if !std::mem::take(&mut self.ahead) {
            self.launch(decoder);
        }
        self.len += 1;
    }

    /// The most likely next token of each row after the last step, with its logit. With `run_ahead`, the GPU starts the
    /// next step with these tokens before the host reads them, if the cache has room.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn argmax(&mut self, decoder: &Decoder, run_ahead: bool) -> Result<Vec<(u32, f32)>, String> {
        let reading = decoder.client.read_async(vec![self.buffers.found.clone()]);
        if run_ahead && !self.ahead && self.len < self.cache.capacity {
            self.launch(decoder);
            self.ahead = true;
        }
        let read = read_sync(reading).map_err(|error| error.to_string())?;
        let words: &[u32] = read.first().map(|bytes| u32::from_bytes(bytes)).unwrap_or_default();
        let latest = words.chunks(2 * self.count).nth(self.len % 2).unwrap_or_default();
        Ok(latest.chunks_exact(2).map(|pair| (pair[0], f32::from_bits(pair[1]))).collect())
    }

    /// The logits of the last step, `[rows, vocabulary]`, unless the GPU runs ahead.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn logits(&self, decoder: &Decoder) -> Result<Vec<f32>, String> {
        let bytes = decoder.client.read_one(self.buffers.logits.clone()).map_err(|error| error.to_string())?;
        Ok(f32::from_bytes(&bytes).to_vec())
    }

    fn launch(&mut self, decoder: &Decoder) {
        match &mut self.recording {
            _ if StreamId::current() != self.stream => self.recording = Recording::Impossible,
            Recording::Done(graph) => {
                // The graph accesses buffers owned by this object and the decoder, in the order of their stream.
                if unsafe { graph.replay() }.is_ok() {
                    return;
                }
                self.recording = Recording::Impossible;
            }
            Recording::Compiled => {
                self.recording = launch_and_record(self, decoder).map_or(Recording::Impossible, Recording::Done);
                return;
            }
            Recording::None => self.recording = Recording::Compiled,
            Recording::Impossible => {}
        }
        decoder.launch(self);
    }
}

impl Drop for DecodeBatch {
    /// Waits for a step that ran ahead: until then the GPU writes to the cache, whose memory may be reused.
    fn drop(&mut self) {
        if self.ahead {
            // The result of that step is discarded, and so is its error.
            let _ = self.stream.executes(|| read_sync(self.client.sync()));
        }
    }
}

/// Launches a step and records the launches of the next one.
fn launch_and_record(rows: &DecodeBatch, decoder: &Decoder) -> Result<Graph, ServerError> {
    let prepared = decoder.client.graph_prepare();
    decoder.launch(rows);
    prepared?;
    decoder.client.start_capture()?;
    decoder.launch(rows);
    decoder.client.stop_capture()
}
