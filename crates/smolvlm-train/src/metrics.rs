//! What is measured while a model learns, and who hears of it.

use crate::Error;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// One step of the optimizer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepMetrics {
    /// Steps done, this one included.
    pub step: u64,
    /// Mean loss of the learnt tokens.
    pub loss: f64,
    /// Learning rate.
    pub rate: f64,
    /// Norm of all gradients together, before clipping.
    pub grad_norm: f64,
    /// Samples of the step.
    pub samples: usize,
    /// Tokens of the step, without padding.
    pub tokens: usize,
    /// Tokens of the step that were learnt.
    pub targets: usize,
    /// Tiles of the step.
    pub tiles: usize,
    /// Seconds that the step took.
    pub seconds: f64,
    /// Seconds that it waited for its samples.
    pub waited: f64,
    /// Samples a second.
    pub samples_per_second: f64,
    /// Whether the step was left out since its loss or gradient was not finite.
    pub skipped: bool,
}

/// One evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvalMetrics {
    /// Steps done.
    pub step: u64,
    /// Mean loss of the tokens that would be learnt.
    pub eval_loss: f64,
    /// Samples.
    pub samples: usize,
    /// Tokens that would be learnt.
    pub targets: usize,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Hears what happens. All methods do nothing unless written.
pub trait Observer {
    /// A step was done. To break ends training after a checkpoint.
    fn step(&mut self, _metrics: &StepMetrics) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// An evaluation was done.
    fn evaluated(&mut self, _metrics: &EvalMetrics) {}

    /// A checkpoint was written.
    fn saved(&mut self, _folder: &Path) {}

    /// A sample was left out.
    fn skipped(&mut self, _why: &Error) {}
}

/// Hears nothing.
impl Observer for () {}

/// A file with one JSON object a line.
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
