//! Training metrics and their observers.

use crate::Error;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Metrics of one optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepMetrics {
    /// Steps done, this one included.
    pub step: u64,
    /// Mean loss over the target tokens.
    pub loss: f64,
    /// Learning rate.
    pub rate: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Number of samples.
    pub samples: usize,
    /// Number of tokens without padding.
    pub tokens: usize,
    /// Number of target tokens.
    pub targets: usize,
    /// Number of tiles.
    pub tiles: usize,
    /// Duration in seconds.
    pub seconds: f64,
    /// Seconds spent waiting for the samples.
    pub waited: f64,
    /// Samples per second.
    pub samples_per_second: f64,
    /// Whether the update was skipped because the loss or gradient was not finite.
    pub skipped: bool,
}

/// Metrics of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvalMetrics {
    /// Steps done.
    pub step: u64,
    /// Mean loss over the target tokens.
    pub eval_loss: f64,
    /// Number of samples.
    pub samples: usize,
    /// Number of target tokens.
    pub targets: usize,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Callbacks of a training run. The default implementations do nothing.
pub trait Observer {
    /// Called after each step. [`ControlFlow::Break`] ends training after saving a checkpoint.
    fn step(&mut self, _metrics: &StepMetrics) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called after each evaluation.
    fn evaluated(&mut self, _metrics: &EvalMetrics) {}

    /// Called after a checkpoint was written.
    fn saved(&mut self, _folder: &Path) {}

    /// Called for each sample that was skipped.
    fn skipped(&mut self, _why: &Error) {}
}

/// An observer that ignores everything.
impl Observer for () {}

/// A JSON Lines file of metrics.
pub(crate) struct MetricsFile {
    file: File,
    path: PathBuf,
}

impl MetricsFile {
    pub(crate) fn open(path: PathBuf) -> Result<Self, Error> {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self { file: file.map_err(|source| Error::io(&path, source))?, path })
    }

    pub(crate) fn write(&mut self, metrics: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(metrics).map_err(std::io::Error::from);
        let written = line.and_then(|line| writeln!(self.file, "{line}"));
        written.map_err(|source| Error::io(&self.path, source))
    }
}
