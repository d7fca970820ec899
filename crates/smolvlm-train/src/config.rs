//! How a model is trained.

use crate::{Error, Schedule};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What happens when something cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Training ends with an error.
    #[default]
    Stop,
    /// It is left out, and the observer hears about it.
    Skip,
}

/// How weights are changed by gradients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
    #[default]
    AdamW,
    /// Muon for matrices, AdamW for the rest (Jordan et al. 2024; step sizes of Liu et al. 2025, arXiv 2502.16982): for
    /// training from nothing.
    Muon,
}

/// How a model is trained.
///
/// ```
/// use smolvlm_train::TrainConfig;
/// let config = TrainConfig { steps: 500, batch_size: 16, learning_rate: 1e-4, ..TrainConfig::default() };
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// Steps of the optimizer.
    pub steps: u64,
    /// Samples a step.
    pub batch_size: usize,
    /// Most samples that a worker holds at a time; a batch is worked off in as many pieces as that needs, with the same
    /// result up to rounding. Small ones take less memory, and no longer on small models: their results stay in the cache.
    pub micro_batch: usize,
    /// How weights are changed by gradients.
    pub optimizer: Optimizer,
    /// The largest learning rate.
    pub learning_rate: f64,
    /// The learning rate at the end, as a share of the largest one.
    pub final_rate: f64,
    /// Steps over which the learning rate rises.
    pub warmup: u64,
    /// Decay rates of the gradient's mean and of its square's.
    pub betas: [f64; 2],
    /// Added to the root of the mean square.
    pub epsilon: f64,
    /// Share of a matrix that is taken away each step, times the learning rate; norms, biases and embeddings keep theirs.
    pub weight_decay: f64,
    /// Largest norm of all gradients together; longer ones are shortened to it.
    pub clip_norm: f64,
    /// Decides the order of samples.
    pub seed: u64,
    /// Whether samples come in an order that the seed decides; otherwise in their own.
    pub shuffle: bool,
    /// Parameters that keep their values: patterns of names in the checkpoint, in which `*` stands for anything, such as
    /// `model.vision_model.*`.
    pub freeze: Vec<String>,
    /// Most tokens of a sample; none for the model's context.
    pub max_tokens: Option<usize>,
    /// Threads that compute, each on its share of a batch; 0 for one a processor core. How sums are rounded depends on it.
    pub workers: usize,
    /// What happens with a sample that cannot be used.
    pub bad_samples: Policy,
    /// What happens with a step whose loss or gradient is not finite.
    pub bad_steps: Policy,
    /// The model that adapters belong to, a folder or a hub repository: what `adapter_config.json` will say.
    pub base_model: Option<String>,
    /// Folder for checkpoints and metrics; without one, nothing is written.
    pub output: Option<PathBuf>,
    /// Steps between checkpoints; the last step is always followed by one.
    pub save_every: u64,
    /// Checkpoints that are kept; older ones are deleted.
    pub keep: usize,
    /// Steps between evaluations, if there is something to evaluate on; the last step is always followed by one.
    pub eval_every: u64,
    /// Most samples of an evaluation.
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
    /// The learning rate over time.
    pub fn schedule(&self) -> Schedule {
        let (peak, floor) = (self.learning_rate, self.learning_rate * self.final_rate);
        Schedule { peak, floor, warmup: self.warmup, steps: self.steps }
    }

    /// Number of workers.
    pub(crate) fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    /// Whether all values can be used.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for the first one that cannot.
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
