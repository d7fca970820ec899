//! State of a batch of rows that are decoded together, with steps that run ahead of the host.

use super::attention::{CHUNK, IDLE};
use super::decoder::Decoder;
use super::recording::Recording;
use super::top::top;
use super::weights::{Cache, RotaryTables, Sizes};
use crate::{PAGE_TOKENS, TopTokens};
use cubecl::bytes::Bytes;
use cubecl::future::reader::read_sync;
use cubecl::prelude::*;
use cubecl::server::Handle;
use cubecl_environment::stream::StreamId;

/// A batch of rows that are decoded together. Its size is fixed, so that a step can be replayed; rows without a
/// sequence are idle.
pub struct DecodeBatch {
    client: Client,
    stream: StreamId,
    memory: BatchMemory,
    /// Tokens of each row after the last requested step; [`IDLE`] for idle rows.
    lens: Vec<u32>,
    /// Tokens that fit into the pages of each row.
    rooms: Vec<usize>,
    /// Number of steps that were launched.
    launched: u32,
    /// Whether the last of them was launched ahead, with the tokens of the GPU's own argmax.
    ahead: bool,
    recording: Recording,
}

/// A sequence in a row of a batch.
#[derive(Debug, Clone)]
pub struct SequenceRow {
    /// Number of tokens in the cache.
    pub len: usize,
    /// Number of masked tokens at its start.
    pub padding: usize,
    /// The bases of its pages; see [`Cache`].
    pub bases: Vec<u32>,
    /// Number of tokens that fit into its pages.
    pub room: usize,
}

/// The memory of a batch.
pub(super) struct BatchMemory {
    pub(super) cache: Cache,
    pub(super) rotary: RotaryTables,
    /// Number of rows.
    pub(super) count: usize,
    pub(super) pages_per_row: usize,
    pub(super) buffers: Buffers,
}

/// Buffers that a step reads and writes.
pub(super) struct Buffers {
    pub(super) lens: Handle,
    pub(super) steps: Handle,
    pub(super) padding: Handle,
    pub(super) pages: Handle,
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

impl Buffers {
    fn all(&self) -> [&Handle; 13] {
        let Self { lens, steps, padding, pages, tokens, hidden, projected, attended, chunks, .. } = self;
        let Self { chunk_weights, gated, logits, found, .. } = self;
        [lens, steps, padding, pages, tokens, hidden, projected, attended, chunks, chunk_weights, gated, logits, found]
    }
}

impl DecodeBatch {
    /// Creates a batch of `count` idle rows with up to `pages_per_row` pages each.
    pub fn new(decoder: &Decoder, cache: Cache, rotary: RotaryTables, count: usize, pages_per_row: usize) -> Self {
        let Sizes { hidden, inner, heads, kv_heads, head_dim, vocabulary, .. } = decoder.sizes;
        let client = &decoder.client;
        let floats = |values: usize| client.empty(4 * count * values);
        let words = |words: usize, value: u32| client.create_from_slice(u32::as_bytes(&vec![value; words]));
        let chunks = chunks(pages_per_row);
        let several = if chunks > 1 { chunks } else { 0 };
        let buffers = Buffers {
            lens: words(count, IDLE),
            steps: words(1, 0),
            padding: words(count, 0),
            pages: words(count * pages_per_row, 0),
            tokens: words(count, 0),
            hidden: floats(hidden),
            projected: floats((heads + 2 * kv_heads) * head_dim),
            attended: floats(heads * head_dim),
            chunks: floats((several * heads * head_dim).max(1)),
            chunk_weights: floats((several * heads * 2).max(1)),
            gated: floats(inner),
            logits: floats(vocabulary),
            found: words(4 * count, 0),
        };
        let written = buffers.all().into_iter().chain(cache.handles()).cloned().collect();
        let recording = Recording::new(decoder.weights().chain(&rotary.tables), written);
        Self {
            client: client.clone(),
            stream: StreamId::current(),
            memory: BatchMemory { cache, rotary, count, pages_per_row, buffers },
            lens: vec![IDLE; count],
            rooms: vec![0; count],
            launched: 0,
            ahead: false,
            recording,
        }
    }

    /// Number of pages that a row can have.
    pub fn pages_per_row(&self) -> usize {
        self.memory.pages_per_row
    }

    /// Places sequences in the first rows; the others become idle. A step that ran ahead is discarded.
    ///
    /// # Panics
    ///
    /// When there are more sequences than rows, or more pages than a row can have.
    pub fn place(&mut self, sequences: &[SequenceRow]) {
        let count = self.memory.count;
        assert!(sequences.len() <= count, "{} sequences in {count} rows", sequences.len());
        self.ahead = false;
        self.lens.fill(IDLE);
        let mut padding = vec![0; count];
        for (row, sequence) in sequences.iter().enumerate() {
            self.lens[row] = sequence.len as u32;
            padding[row] = sequence.padding as u32;
        }
        write(&self.client, &self.memory.buffers.lens, &self.lens);
        write(&self.client, &self.memory.buffers.padding, &padding);
        self.place_pages(sequences);
    }

    /// Replaces the pages of the sequences in the first rows: those with tokens in them stay the same.
    ///
    /// # Panics
    ///
    /// When there are more pages than a row can have.
    pub fn place_pages(&mut self, sequences: &[SequenceRow]) {
        let BatchMemory { count, pages_per_row, ref buffers, .. } = self.memory;
        let mut pages = vec![0; count * pages_per_row];
        for ((row, sequence), pages) in sequences.iter().enumerate().zip(pages.chunks_mut(pages_per_row)) {
            pages[..sequence.bases.len()].copy_from_slice(&sequence.bases);
            self.rooms[row] = sequence.room;
        }
        write(&self.client, &buffers.pages, &pages);
    }

    /// Launches a step that runs one token of each row and computes the argmax of the logits. With `feeds_argmax`, the
    /// tokens are those of the last argmax, which the GPU knows. Does not wait. There must be room in the pages.
    pub fn step(&mut self, decoder: &Decoder, tokens: &[u32], feeds_argmax: bool) {
        let Self { client, memory, lens, recording, launched, .. } = self;
        let was_ahead = std::mem::take(&mut self.ahead);
        if !(was_ahead && feeds_argmax) {
            let mut all = tokens.to_vec();
            all.resize(memory.count, 0);
            let prepare = |again: bool| {
                if again || !feeds_argmax {
                    write(client, &memory.buffers.tokens, &all);
                }
                // A step that ran ahead is discarded.
                if again || was_ahead {
                    write(client, &memory.buffers.lens, lens);
                }
                if again {
                    write(client, &memory.buffers.steps, &[*launched]);
                }
            };
            recording.run(client, prepare, || decoder.launch(memory));
            *launched = launched.wrapping_add(1);
        }
        self.lens.iter_mut().filter(|len| **len != IDLE).for_each(|len| *len += 1);
    }

    /// The most likely next token of each row after the last step, with its logit. With `run_ahead`, the GPU starts the
    /// next step with these tokens before the host reads them, if there is room for it in all rows.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn argmax(&mut self, decoder: &Decoder, run_ahead: bool) -> Result<Vec<(u32, f32)>, String> {
        let latest = self.launched.wrapping_sub(u32::from(self.ahead));
        let reading = self.client.read_async(vec![self.memory.buffers.found.clone()]);
        let has_room = |(&len, &room): (&u32, &usize)| len == IDLE || (len as usize) < room;
        if run_ahead && !self.ahead && self.lens.iter().zip(&self.rooms).all(has_room) {
            self.recording.run_again(|| decoder.launch(&self.memory));
            self.launched = self.launched.wrapping_add(1);
            self.ahead = true;
        }
        let read = read_sync(reading).map_err(|error| error.to_string())?;
        let words: &[u32] = read.first().map(|bytes| u32::from_bytes(bytes)).unwrap_or_default();
        let latest = words.chunks(2 * self.memory.count).nth(latest as usize % 2).unwrap_or_default();
        Ok(latest.chunks_exact(2).map(|pair| (pair[0], f32::from_bits(pair[1]))).collect())
    }

    /// Of each of the first `rows` rows after the last step, at least the `count` most likely next tokens, in ascending
    /// order, with their logits; none where too many logits are equal.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn top(&self, decoder: &Decoder, rows: usize, count: usize) -> Result<Vec<Option<TopTokens>>, String> {
        top(&self.client, [rows, decoder.sizes.vocabulary], &self.memory.buffers.logits, count)
    }

    /// The logits of a row after the last step, unless the GPU runs ahead.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn row_logits(&self, decoder: &Decoder, row: usize) -> Result<Vec<f32>, String> {
        let bytes = |rows: usize| (4 * rows * decoder.sizes.vocabulary) as u64;
        let logits = self.memory.buffers.logits.clone().offset_start(bytes(row));
        let logits = logits.offset_end(bytes((self.memory.count - row).saturating_sub(1)));
        let bytes = self.client.read_one(logits).map_err(|error| error.to_string())?;
        Ok(f32::from_bytes(&bytes).to_vec())
    }

    /// The logits of the first `rows` rows after the last step, `[rows, vocabulary]`, unless the GPU runs ahead.
    ///
    /// # Errors
    ///
    /// The error message of the device.
    pub fn logits(&self, decoder: &Decoder, rows: usize) -> Result<Vec<f32>, String> {
        let unused = 4 * self.memory.count.saturating_sub(rows) * decoder.sizes.vocabulary;
        let logits = self.memory.buffers.logits.clone().offset_end(unused as u64);
        let bytes = self.client.read_one(logits).map_err(|error| error.to_string())?;
        Ok(f32::from_bytes(&bytes).to_vec())
    }
}

fn write(client: &Client, handle: &Handle, words: &[u32]) {
    client.write(handle, Bytes::from_bytes_vec(u32::as_bytes(words).to_vec()));
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

/// Number of chunks of keys into which the attention of a row is divided.
pub(super) fn chunks(pages_per_row: usize) -> usize {
    (pages_per_row * PAGE_TOKENS).div_ceil(CHUNK as usize)
}
