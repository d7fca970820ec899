//! AdamW.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Values per parallel task.
const CHUNK: usize = 1 << 14;

/// Hyperparameters of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct AdamW {
    pub(crate) betas: [f64; 2],
    pub(crate) epsilon: f64,
    pub(crate) weight_decay: f64,
}

/// The optimizer state of a parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Moments {
    /// Running mean of the gradient.
    pub(crate) mean: Vec<f32>,
    /// Running mean of the squared gradient.
    pub(crate) square: Vec<f32>,
}

impl Moments {
    pub(crate) fn zeros(len: usize) -> Self {
        Self { mean: vec![0.0; len], square: vec![0.0; len] }
    }
}

impl AdamW {
    /// Updates values with gradients, which are first multiplied by `scale`. `step` counts from one.
    pub(crate) fn update(
        &self,
        values: &mut [f32],
        gradient: &[f32],
        moments: &mut Moments,
        Update { step, rate, scale, decays }: Update,
    ) {
        let [first, second] = self.betas;
        let power = |beta: f64| 1.0 - beta.powf(step as f64);
        // p -= rate (mean / power1) / (sqrt(square / power2) + epsilon)
        let (step_size, root) = ((rate / power(first)) as f32, power(second).sqrt().recip() as f32);
        let keep = if decays { (1.0 - rate * self.weight_decay) as f32 } else { 1.0 };
        let (first, second, epsilon) = (first as f32, second as f32, self.epsilon as f32);
        let parts = values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        let memory = moments.mean.par_chunks_mut(CHUNK).zip(moments.square.par_chunks_mut(CHUNK));
        parts.zip(memory).for_each(|((values, gradient), (mean, square))| {
            for (((value, gradient), mean), square) in values.iter_mut().zip(gradient).zip(mean).zip(square) {
                let gradient = gradient * scale;
                *mean = first * *mean + (1.0 - first) * gradient;
                *square = second * *square + (1.0 - second) * gradient * gradient;
                *value = *value * keep - step_size * *mean / (square.sqrt() * root + epsilon);
            }
        });
    }
}

/// Arguments of one update.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    pub(crate) step: u64,
    pub(crate) rate: f64,
    pub(crate) scale: f32,
    pub(crate) decays: bool,
}
