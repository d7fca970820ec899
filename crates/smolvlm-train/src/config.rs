//! Training options.

use crate::{Error, Schedule};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Handling of samples or steps that cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Training ends with an error.
    #[default]
    Stop,
    /// It is skipped and reported to the observer.
    Skip,
}

/// The optimization algorithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
    #[default]
    AdamW,
    /// Muon for matrices, AdamW for the rest (Jordan et al. 2024; step sizes of Liu et al. 2025, arXiv 2502.16982).
    /// Meant for training from scratch.
    Muon,
}

/// Training options.
///
/// ```
/// use smolvlm_train::TrainConfig;
/// let config = TrainConfig { steps: 500, batch_size: 16, learning_rate: 1e-4, ..TrainConfig::default() };
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Number of optimizer steps.
    pub steps: u64,
    /// Samples per step.
    pub batch_size: usize,
    /// Maximum number of samples that a worker processes at once; gradients are accumulated over the micro-batches of a
    /// batch, with the same result up to rounding. Small micro-batches take less memory and, on small models, no more
    /// time, since their activations stay in the CPU cache.
    pub micro_batch: usize,
    /// The optimization algorithm.
    pub optimizer: Optimizer,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Final learning rate, as a fraction of the peak.
    pub final_rate: f64,
    /// Number of warmup steps.
    pub warmup: u64,
    /// Decay rates of the first and second moments (Adam's betas).
    pub betas: [f64; 2],
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay of matrices, multiplied by the learning rate; norms, biases and embeddings do not decay.
    pub weight_decay: f64,
    /// Maximum global gradient norm; larger gradients are clipped to it.
    pub clip_norm: f64,
    /// Seed of the order of samples.
    pub seed: u64,
    /// Whether samples are shuffled, by the seed; otherwise they come in the order of the data set.
    pub shuffle: bool,
    /// Parameters that are not trained: patterns of checkpoint names, in which `*` matches any text, such as
    /// `model.vision_model.*`.
    pub freeze: Vec<String>,
    /// Maximum number of tokens per sample; none for the model's context length.
    pub max_tokens: Option<usize>,
    /// Number of worker threads, each of which computes its share of a batch; 0 for one per CPU core. The rounding of
    /// sums depends on it.
    pub workers: usize,
    /// Handling of samples that cannot be used.
    pub bad_samples: Policy,
    /// Handling of steps whose loss or gradient is not finite.
    pub bad_steps: Policy,
    /// The base model of adapters, a folder or a hub repository, as written to `adapter_config.json`.
    pub base_model: Option<String>,
    /// Folder for checkpoints and metrics; without one, nothing is written.
    pub output: Option<PathBuf>,
    /// Steps between checkpoints; one is always written after the last step.
    pub save_every: u64,
    /// Number of checkpoints to keep; older ones are deleted.
    pub keep: usize,
    /// Steps between evaluations, if there is an evaluation set; the last step is always followed by one.
    pub eval_every: u64,
    /// Maximum number of samples per evaluation.
    pub eval_samples: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch_size: 32,
            micro_batch: 4,
            optimizer: Optimizer::AdamW,
            learning_rate: 1e-4,
            final_rate: 0.1,
            warmup: 50,
            betas: [0.9, 0.95],
            epsilon: 1e-8,
            weight_decay: 0.01,
            clip_norm: 1.0,
            seed: 0,
            shuffle: true,
            freeze: Vec::new(),
            max_tokens: None,
            workers: 0,
            bad_samples: Policy::Stop,
            bad_steps: Policy::Stop,
            base_model: None,
            output: None,
            save_every: 500,
            keep: 2,
            eval_every: 500,
            eval_samples: 256,
        }
    }
}

impl TrainConfig {
    /// The learning rate schedule.
    pub fn schedule(&self) -> Schedule {
        let (peak, floor) = (self.learning_rate, self.learning_rate * self.final_rate);
        Schedule { peak, floor, warmup: self.warmup, steps: self.steps }
    }

    /// Number of worker threads.
    pub(crate) fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    /// Checks that all values are valid.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for the first one that is not.
    pub fn validate(&self) -> Result<(), Error> {
        let finite = |value: f64| value.is_finite() && value >= 0.0;
        let share = |value: f64| (0.0..1.0).contains(&value);
        let checks: [(&'static str, String, bool, &'static str); 9] = [
            ("steps", self.steps.to_string(), self.steps > 0, "at least 1"),
            ("batch_size", self.batch_size.to_string(), self.batch_size > 0, "at least 1"),
            ("micro_batch", self.micro_batch.to_string(), self.micro_batch > 0, "at least 1"),
            ("learning_rate", self.learning_rate.to_string(), finite(self.learning_rate), "0 or more"),
            ("final_rate", self.final_rate.to_string(), (0.0..=1.0).contains(&self.final_rate), "from 0 to 1"),
            ("betas", format!("{:?}", self.betas), self.betas.into_iter().all(share), "from 0 to below 1"),
            ("epsilon", self.epsilon.to_string(), finite(self.epsilon) && self.epsilon > 0.0, "above 0"),
            ("weight_decay", self.weight_decay.to_string(), finite(self.weight_decay), "0 or more"),
            ("clip_norm", self.clip_norm.to_string(), finite(self.clip_norm) && self.clip_norm > 0.0, "above 0"),
        ];
        match checks.into_iter().find(|(_, _, good, _)| !good) {
            Some((option, value, _, legal)) => Err(Error::Option { option, value, legal }),
            None => Ok(()),
        }
    }
}
