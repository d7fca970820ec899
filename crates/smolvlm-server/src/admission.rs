//! The bounded queue in front of the model.

use crate::api_error::ApiError;
use crate::config::ServerConfig;
use crate::metrics::{GaugeGuard, Metrics};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

const KIB: usize = 1024;

/// Admits a bounded number of requests, and lets a smaller number run at once, in order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// One permit per request that runs or waits.
    places: Arc<Semaphore>,
    /// One permit per request that runs.
    slots: Arc<Semaphore>,
    /// One permit per KiB of the bodies of all requests.
    memory: Arc<Semaphore>,
    waiting_tokens: Option<TokenBudget>,
}

/// The tokens of the requests that wait.
#[derive(Debug, Clone)]
struct TokenBudget {
    tokens: Arc<Semaphore>,
    limit: usize,
}

impl TokenBudget {
    fn new(limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self { tokens: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Takes tokens, if there are as many. A request that exceeds the budget alone takes all of it.
    fn take(&self, tokens: usize) -> Option<OwnedSemaphorePermit> {
        let tokens = u32::try_from(tokens.min(self.limit)).unwrap_or(u32::MAX);
        Arc::clone(&self.tokens).try_acquire_many_owned(tokens).ok()
    }
}

/// The right to keep a body in memory.
pub(crate) type Memory = OwnedSemaphorePermit;

/// A place in the queue, which a request takes before its media are decoded.
#[derive(Debug)]
pub(crate) struct Place {
    place: OwnedSemaphorePermit,
    memory: Memory,
    slots: Arc<Semaphore>,
    waiting_tokens: Option<TokenBudget>,
    waiting: GaugeGuard,
    running: metrics::Gauge,
}

/// The right to run.
#[derive(Debug)]
pub(crate) struct Slot {
    _slot: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
    _memory: Memory,
    _running: GaugeGuard,
}

/// Gives back what a body of some bytes does not need.
pub(crate) fn shrink(memory: &mut Memory, bytes: usize) {
    drop(memory.split(memory.num_permits().saturating_sub(bytes / KIB)));
}

impl Admission {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let parallel = config.parallel.clamp(1, Semaphore::MAX_PERMITS / 2);
        let places = parallel + config.max_queue.min(Semaphore::MAX_PERMITS / 2);
        let kib = (config.max_body_bytes.max(config.max_bodies_bytes) / KIB + 1).min(u32::MAX as usize);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let waiting_tokens = config.max_queue_tokens.map(TokenBudget::new);
        Self { places: semaphore(places), slots: semaphore(parallel), memory: semaphore(kib), waiting_tokens }
    }

    /// Reserves memory for a body of some bytes, or rejects the request if the bodies of others take too much.
    pub(crate) fn memory(&self, bytes: usize, metrics: &Metrics) -> Result<Memory, ApiError> {
        let kib = u32::try_from(bytes / KIB).unwrap_or(u32::MAX);
        Arc::clone(&self.memory).try_acquire_many_owned(kib).map_err(|_| {
            metrics.rejected("memory").increment(1);
            ApiError::queue_full()
        })
    }

    /// Takes a place, or rejects the request if the queue is full.
    pub(crate) fn place(&self, memory: Memory, metrics: &Metrics) -> Result<Place, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            metrics.rejected("queue_full").increment(1);
            ApiError::queue_full()
        })?;
        let waiting = GaugeGuard::raise(&metrics.waiting);
        let (slots, waiting_tokens) = (Arc::clone(&self.slots), self.waiting_tokens.clone());
        Ok(Place { place, memory, slots, waiting_tokens, waiting, running: metrics.running.clone() })
    }
}

impl Place {
    /// Waits for a slot, until the deadline of the request. A request that would have to wait is rejected if its tokens
    /// and those of the requests that wait are too many.
    pub(crate) async fn slot(self, deadline: Instant, tokens: usize, metrics: &Metrics) -> Result<Slot, ApiError> {
        let slot = match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => Ok(Ok(slot)),
            Err(_) => {
                let waits = self.waiting_tokens.as_ref().map(|budget| budget.take(tokens).ok_or(()));
                let Ok(_waits) = waits.transpose() else {
                    metrics.rejected("queue_tokens").increment(1);
                    return Err(ApiError::queue_full());
                };
                tokio::time::timeout_at(deadline, self.slots.acquire_owned()).await
            }
        };
        drop(self.waiting);
        match slot {
            Ok(Ok(slot)) => Ok(Slot {
                _slot: slot,
                _place: self.place,
                _memory: self.memory,
                _running: GaugeGuard::raise(&self.running),
            }),
            _ => {
                Err(ApiError::unavailable("the time limit of requests passed in the queue; try again later", "timeout"))
            }
        }
    }
}
