//! Shared state of all handlers.

use crate::admission::{Admission, Place, Slot};
use crate::api_error::ApiError;
use crate::backend::Backend;
use crate::config::ServerConfig;
use crate::metrics::Metrics;
use crate::prompt_speed::PromptSpeed;
use crate::security::Keys;
use smolvlm::SmolVlm;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) type Shared = Arc<App>;

/// The state of a server.
pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) keys: Keys,
    pub(crate) admission: Admission,
    pub(crate) metrics: Metrics,
    pub(crate) prompt_speed: PromptSpeed,
    /// Set to end all generations.
    pub(crate) abort: watch::Sender<bool>,
    model: OnceLock<Arc<Model>>,
    draining: AtomicBool,
    ids: RandomState,
    requests: AtomicU64,
}

/// The model that is served.
pub(crate) struct Model {
    pub(crate) backend: Box<dyn Backend>,
    /// For everything but generation.
    pub(crate) smolvlm: SmolVlm,
    /// Time of loading in seconds since 1970.
    pub(crate) created: u64,
}

impl App {
    pub(crate) fn new(config: ServerConfig) -> Self {
        Self {
            keys: Keys::new(&config.api_keys),
            admission: Admission::new(&config),
            metrics: Metrics::new(),
            prompt_speed: PromptSpeed::default(),
            abort: watch::Sender::new(false),
            model: OnceLock::new(),
            draining: AtomicBool::new(false),
            ids: RandomState::new(),
            requests: AtomicU64::new(0),
            config,
        }
    }

    /// Sets the model, once.
    pub(crate) fn set_model(&self, model: Model) {
        let _ = self.model.set(Arc::new(model));
    }

    pub(crate) fn model(&self) -> Option<Arc<Model>> {
        self.model.get().cloned()
    }

    /// The model, unless it is still loading or the server is stopping.
    pub(crate) fn ready(&self) -> Result<Arc<Model>, ApiError> {
        if self.is_draining() {
            return Err(ApiError::stopping());
        }
        self.model().ok_or_else(|| ApiError::unavailable("the model is loading", "loading"))
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// When a request that arrived then must end.
    pub(crate) fn deadline(&self, arrival: Instant) -> Instant {
        arrival + self.config.request_timeout
    }

    /// Waits until a request in the queue, estimated to have so many tokens, may run.
    pub(crate) async fn slot(&self, place: Place, arrival: Instant, tokens: usize) -> Result<Slot, ApiError> {
        let slot = place.slot(self.deadline(arrival), tokens, &self.metrics).await?;
        self.metrics.queue.record(arrival.elapsed().as_secs_f64());
        Ok(slot)
    }

    /// Waits until a request must end unfinished: at its deadline, or when the server ends all of them.
    pub(crate) async fn interruption(&self, arrival: Instant) {
        let mut abort = self.abort.subscribe();
        tokio::select! {
            () = tokio::time::sleep_until(self.deadline(arrival)) => {}
            _ = abort.wait_for(|&abort| abort) => {}
        }
    }

    /// The error of a request that was interrupted before there was an answer.
    pub(crate) fn interrupted(&self) -> ApiError {
        if *self.abort.borrow() { ApiError::stopping() } else { ApiError::timed_out() }
    }

    /// Logs the cause of an error that clients do not see.
    pub(crate) fn log_cause(&self, error: &ApiError) {
        if let Some(cause) = &error.cause {
            self.config.log.line(cause);
        }
    }

    /// A new id for a response.
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{:016x}{number:08x}", self.ids.hash_one(number))
    }
}

impl Model {
    pub(crate) fn new(smolvlm: SmolVlm) -> Self {
        Self { backend: Box::new(smolvlm.clone()), smolvlm, created: unix_time() }
    }

    /// Maximum number of tokens of prompt and answer.
    pub(crate) fn context(&self) -> usize {
        self.smolvlm.config().text.max_position_embeddings
    }

    /// Number of tokens that the model can generate.
    pub(crate) fn vocabulary(&self) -> usize {
        self.smolvlm.config().text.vocab_size
    }
}

/// Seconds since 1970.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
