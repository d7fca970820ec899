//! The worker thread of the engine.

use super::Texts;
use super::active_request::{ActiveRequest, Phase};
use super::encoder::Encoder;
use super::request::Request;
use super::stats::{EngineStats, SharedStats};
use super::ticket::Update;
use crate::device::{panic_error, panic_message};
use crate::estimate::cache_bytes;
use crate::smolvlm::Loaded;
use crate::{Error, FinishReason};
use smolvlm_model::{Network, SequenceId, Sequences, StepInput, TopTokens};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

/// Prompt tokens per step when nothing else runs: enough that reading the weights does not dominate.
const CHUNK_ALONE: usize = 1024;
/// Prompt tokens per step on GPUs, where the time of a chunk hardly depends on its length: more than a photograph in
/// tiles has.
const CHUNK_ON_GPU: usize = 2048;
/// Prompt tokens per step beside other requests, so that they do not wait long.
const CHUNK_BESIDE_OTHERS: usize = 128;
/// Tokens of given answers per step when nothing else runs: each may need a row of logits.
const SCORED_ALONE: usize = 256;
/// Smallest share of a request in these.
const MIN_CHUNK: usize = 32;
/// Generated and drafted tokens per step. So many take little longer than one, since weights are read once for all.
const DECODE_ROWS: usize = 16;

fn new_sequences(loaded: &Loaded) -> Sequences {
    let new = || loaded.network.new_sequences(loaded.kv_tokens).with_max_kept(loaded.kept_tokens);
    loaded.threads.compute(new)
}

/// The state of the worker thread.
pub(super) struct Worker {
    loaded: Arc<Loaded>,
    incoming: Receiver<Request>,
    waiting: VecDeque<Request>,
    active: Vec<ActiveRequest>,
    sequences: Sequences,
    encoder: Encoder,
    stats: EngineStats,
    shared_stats: SharedStats,
}

impl Worker {
    pub(super) fn new(loaded: Arc<Loaded>, incoming: Receiver<Request>, shared_stats: SharedStats) -> Self {
        Self {
            incoming,
            waiting: VecDeque::new(),
            active: Vec::new(),
            sequences: new_sequences(&loaded),
            encoder: Encoder::default(),
            stats: shared_stats.get(),
            shared_stats,
            loaded,
        }
    }

    /// Runs requests until the last handle of the model is gone.
    pub(super) fn run(mut self) {
        while self.receive() {
            let loaded = self.loaded.clone();
            let iteration = || loaded.threads.compute(|| self.run_iteration());
            if let Err(panic) = catch_unwind(AssertUnwindSafe(iteration)) {
                // The state after a panic is unspecified.
                let message = panic_message(panic.as_ref());
                self.fail_all(|| panic_error(loaded.device.device, &message));
            }
        }
    }

    /// Ends and admits requests, then runs one step of those that are active.
    fn run_iteration(&mut self) {
        // First, so that new requests find the memory and the prompts of those that ended.
        self.end_requests();
        self.admit();
        self.end_requests();
        self.work();
        self.stats.kv_pages = self.sequences.pages() as u64;
        self.shared_stats.set(self.stats);
    }

    /// Takes new requests, and waits for one if there is nothing to do. Returns false at the end.
    fn receive(&mut self) -> bool {
        if self.active.is_empty() && self.waiting.is_empty() {
            match self.incoming.recv() {
                Ok(request) => self.waiting.push_back(request),
                Err(_) => return false,
            }
        }
        loop {
            match self.incoming.try_recv() {
                Ok(request) => self.waiting.push_back(request),
                Err(TryRecvError::Empty) => return true,
                // Every handle of the model is gone, and with it the clients of the requests in progress.
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Ends the requests that are finished, cancelled or past their deadline.
    fn end_requests(&mut self) {
        let Self { loaded, active, sequences, .. } = self;
        let ended = active.extract_if(.., |request| request.is_finished() || request.interruption().is_some());
        for request in ended {
            let reason = request.interruption().unwrap_or(FinishReason::Length);
            request.finish(reason, loaded, sequences);
        }
    }

    /// Admits waiting requests in their order while there is memory for their keys and values.
    fn admit(&mut self) {
        let Self { loaded, active, sequences, waiting, stats, .. } = self;
        let capacity = loaded.kv_tokens.min(sequences.max_tokens());
        while let Some(request) = waiting.pop_front() {
            let needed = request.tokens();
            if needed > capacity {
                let bytes = |tokens| cache_bytes(&loaded.config, loaded.format, tokens);
                let error = Error::TooManySequences {
                    sequences: request.texts.sequences(),
                    tokens: request.prompt.ids.len().saturating_add(request.new_tokens),
                    device: loaded.device.device,
                    needs: bytes(needed),
                    free: bytes(capacity),
                };
                // A client that is gone needs no answer.
                drop(request.updates.send(Update::Failed(error)));
                continue;
            }
            let reserved: usize = active.iter().map(|request| request.reserved).sum();
            if needed > capacity - reserved {
                waiting.push_front(request);
                break;
            }
            active.push(ActiveRequest::new(request, needed, loaded, sequences, stats));
        }
        // Requests that end while they wait for memory need none.
        let (ended, others): (Vec<Request>, Vec<Request>) =
            std::mem::take(waiting).into_iter().partition(|request| request.interruption().is_some());
        active.extend(ended.into_iter().map(|request| ActiveRequest::new(request, 0, loaded, sequences, stats)));
        *waiting = others.into();
    }

    /// Some vision work, then one step of the text model.
    fn work(&mut self) {
        let alone = self.active.len() == 1 && self.waiting.is_empty();
        let Self { encoder, loaded, active, stats, .. } = self;
        if let Err((index, error)) = encoder.advance(loaded, active, alone, stats) {
            self.active.remove(index).fail(*error, &mut self.sequences);
        }
        if let Err(error) = self.step() {
            // Requests were checked before: this is an error of the device. The state after it is unspecified.
            let message = error.to_string();
            self.fail_all(|| smolvlm_model::Error::device(&message).into());
        }
    }

    /// Fails all requests in progress; the next ones start afresh.
    fn fail_all(&mut self, error: impl Fn() -> Error) {
        self.active.drain(..).for_each(|request| request.fail(error(), &mut self.sequences));
        self.sequences = new_sequences(&self.loaded);
        self.encoder = Encoder::default();
    }

    /// One step of the text model: the next tokens of all unfinished texts, and chunks of prompts.
    fn step(&mut self) -> Result<(), Error> {
        let loaded = self.loaded.clone();
        let (network, is_gpu) = (&loaded.network, !loaded.device.device.is_cpu());
        let prompts = self.active.iter().filter(|request| request.phase == Phase::Prefill).count();
        let budget = if self.active.len() == 1 { SCORED_ALONE } else { CHUNK_BESIDE_OTHERS };
        let scored = self.active.iter().filter(|request| request.is_scored()).count();
        let budget = (budget / scored.max(1)).max(MIN_CHUNK);
        let decoding: usize = self.active.iter().map(ActiveRequest::decoding).sum();
        let drafts = (DECODE_ROWS / decoding.max(1)).saturating_sub(1);
        let drafts = if self.sequences.verifies_drafts() { drafts } else { 0 };
        self.active.iter_mut().for_each(|request| request.schedule(budget, drafts, &mut self.sequences));
        let drafted: usize = self.active.iter().map(ActiveRequest::drafted).sum();
        let next: Vec<Vec<StepInput<'_>>> = self.active.iter().map(ActiveRequest::next_inputs).collect();
        let mut counts: Vec<usize> = next.iter().map(Vec::len).collect();
        let mut rows: Vec<usize> = next.iter().map(|inputs| inputs.iter().map(StepInput::logit_rows).sum()).collect();
        let generated = self.active.iter().zip(&next).filter(|(request, _)| !request.is_scored());
        let generated: usize = generated.flat_map(|(_, inputs)| inputs).map(|input| input.tokens.len()).sum();
        self.stats.decode_steps += u64::from(generated > 0);
        self.stats.decode_tokens += (generated - drafted) as u64;
        self.stats.drafted_tokens += drafted as u64;
        let mut inputs: Vec<StepInput<'_>> = next.into_iter().flatten().collect();
        // A GPU sends the host only the tokens that it selects from: the argmax in greedy decoding, or a few.
        let decoding = self.active.iter().filter(|request| request.phase == Phase::Decode);
        let needed = decoding.map(ActiveRequest::needs_top).try_fold(1, |most, needed| Some(most.max(needed?)));
        let most = self.sequences.max_top().max(1);
        let top = needed.filter(|&needed| is_gpu && needed <= most && !inputs.is_empty());
        if let Some(count) = top {
            let tokens = inputs.iter().flat_map(|input| input.tokens.iter().map(|&token| (input.sequence, token)));
            let tokens: Vec<(SequenceId, u32)> = tokens.collect();
            drop(inputs);
            if count == 1 {
                let found = network.step_argmax(&mut self.sequences, &tokens)?;
                self.push(&counts, &found);
            } else {
                let found = network.step_top(&mut self.sequences, &tokens, count)?;
                self.push_top(network, &counts, &found);
            }
            // Only prompts are left for this step.
            (inputs, counts, rows) = (Vec::new(), vec![0; self.active.len()], vec![0; self.active.len()]);
        }
        if prompts == 0 && inputs.is_empty() {
            return Ok(());
        }
        let chunks: Vec<Option<StepInput<'_>>> = if is_gpu {
            // One prompt after the other and not in parts, since each costs the same launches however short it is.
            let mut left = CHUNK_ON_GPU;
            let chunks = self.active.iter().map(|request| {
                let chunk = request.chunk(CHUNK_ON_GPU).filter(|chunk| chunk.tokens.len() <= left);
                left -= chunk.as_ref().map_or(0, |chunk| chunk.tokens.len());
                chunk
            });
            chunks.collect()
        } else {
            let budget = if inputs.is_empty() { CHUNK_ALONE } else { CHUNK_BESIDE_OTHERS };
            let share = (budget / prompts.max(1)).max(MIN_CHUNK);
            self.active.iter().map(|request| request.chunk(share)).collect()
        };
        let lengths: Vec<Option<(usize, bool)>> = chunks
            .iter()
            .map(|chunk| {
                chunk.as_ref().map(|chunk| (chunk.tokens.len(), chunk.logits != smolvlm_model::KeepLogits::None))
            })
            .collect();
        inputs.extend(chunks.into_iter().flatten());
        let mut logits = network.step(&mut self.sequences, &inputs)?;
        drop(inputs);
        let vocabulary = self.loaded.config.text.vocab_size;
        let (decoded, prefilled) = logits.split_at_mut(rows.iter().sum::<usize>() * vocabulary);
        let (mut decoded, mut prefilled) = (decoded, prefilled.chunks_exact(vocabulary));
        let mut accepted = 0;
        self.select(|index, request, sequences| {
            if counts[index] > 0 {
                let (own, rest) = std::mem::take(&mut decoded).split_at_mut(rows[index] * vocabulary);
                decoded = rest;
                accepted += request.decoded(|texts| texts.advance(own, sequences))?;
                return Ok(());
            }
            match lengths[index] {
                Some((tokens, is_last)) => {
                    let logits = if is_last { prefilled.next() } else { None };
                    request.prefilled(tokens, logits, sequences)
                }
                None => Ok(()),
            }
        });
        self.stats.decode_tokens += accepted as u64;
        self.stats.accepted_drafts += accepted as u64;
        Ok(())
    }

    /// Appends argmax tokens to greedy texts.
    fn push(&mut self, counts: &[usize], mut found: &[(u32, f32)]) {
        let vocabulary = self.loaded.config.text.vocab_size;
        self.select(|index, request, sequences| {
            if counts[index] == 0 {
                return Ok(());
            }
            let (own, rest) = found.split_at(counts[index]);
            found = rest;
            request.decoded(|texts| Ok((texts.push(own, vocabulary, sequences)?, 0))).map(drop)
        });
    }

    /// Lets texts select from the most likely tokens of each row.
    fn push_top(&mut self, network: &Network, counts: &[usize], found: &[Option<TopTokens>]) {
        let mut start = 0;
        self.select(|index, request, sequences| {
            let rows = start..start + counts[index];
            start = rows.end;
            if rows.is_empty() {
                return Ok(());
            }
            let all_logits = |row: usize, sequences: &Sequences| Ok(network.last_logits(sequences, rows.start + row)?);
            let select = |texts: &mut Texts| Ok((texts.push_top(&found[rows.clone()], sequences, all_logits)?, 0));
            request.decoded(select).map(drop)
        });
    }

    /// Lets every request select its next tokens. An error or panic ends that request only.
    fn select(&mut self, mut select: impl FnMut(usize, &mut ActiveRequest, &mut Sequences) -> Result<(), Error>) {
        let mut failed = Vec::new();
        for (index, request) in self.active.iter_mut().enumerate() {
            let work = || select(index, request, &mut self.sequences);
            let result = catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|panic| Err(Error::Panicked { message: panic_message(panic.as_ref()) }));
            failed.extend(result.err().map(|error| (index, error)));
        }
        // From the end, so that indices stay valid.
        for (index, error) in failed.into_iter().rev() {
            self.active.remove(index).fail(error, &mut self.sequences);
        }
    }
}
