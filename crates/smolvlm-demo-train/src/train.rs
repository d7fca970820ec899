//! A training run.

use crate::{design, lessons, vocabulary};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use smolvlm_processor::Processor;
use smolvlm_train::{Dataset, EvalMetrics, Example, Observer, SampleError, StepMetrics};
use smolvlm_train::{TrainConfig, Trainer, initial_model, latest_checkpoint, load_model};
use smolvlm_world::{Split, lesson};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Options of training.
#[derive(Debug, Args)]
pub struct Train {
    /// Folder of checkpoints and metrics; what is there already is continued
    #[arg(long, default_value = "target/demo-train")]
    out: PathBuf,
    /// Steps in all
    #[arg(long, default_value_t = 30_000)]
    steps: u64,
    /// Lessons a step
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Largest learning rate
    #[arg(long, default_value_t = 2e-3)]
    rate: f64,
    /// Start with the weights of this checkpoint folder instead of random ones
    #[arg(long)]
    from: Option<PathBuf>,
    /// The first lesson: another one for a run that goes on from another's weights
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// End after so many minutes, with a checkpoint
    #[arg(long)]
    minutes: Option<u64>,
}

/// Lessons of a split, without end.
struct Lessons {
    split: Split,
    first: u64,
}

impl Dataset for Lessons {
    fn len(&self) -> Option<u64> {
        None
    }

    fn get(&self, index: u64) -> Result<Example, SampleError> {
        let conversation = lessons::conversation(lesson(self.split, self.first + index), true);
        Ok(Example::new(conversation.map_err(|error| SampleError::Read(error.to_string()))?))
    }
}

/// Shows how far it is, and ends the run in time.
struct Watch {
    bar: ProgressBar,
    end: Option<Instant>,
    loss: Option<f64>,
}

impl Observer for Watch {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        let loss = self.loss.map_or(metrics.loss, |loss| 0.98 * loss + 0.02 * metrics.loss);
        self.loss = Some(loss);
        self.bar.set_position(metrics.step);
        self.bar.set_message(format!("loss {loss:.4}, {:.1} lessons/s", metrics.samples_per_second));
        if metrics.step.is_multiple_of(100) && self.bar.is_hidden() {
            eprintln!("step {}: loss {loss:.4}, {:.1} lessons/s", metrics.step, metrics.samples_per_second);
        }
        match self.end {
            Some(end) if Instant::now() >= end => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn evaluated(&mut self, metrics: &EvalMetrics) {
        eprintln!("step {}: validation loss {:.4}", metrics.step, metrics.eval_loss);
    }
}

/// Trains from the newest checkpoint, from another checkpoint's weights, or from nothing.
pub fn run(args: &Train) -> Result<(), Box<dyn Error>> {
    let config = TrainConfig {
        steps: args.steps,
        batch_size: args.batch,
        micro_batch: 8,
        learning_rate: args.rate,
        final_rate: 0.02,
        warmup: 200,
        betas: [0.9, 0.98],
        weight_decay: 0.05,
        shuffle: false,
        output: Some(args.out.clone()),
        save_every: 250,
        eval_every: 500,
        eval_samples: 128,
        ..TrainConfig::default()
    };
    let trainer = Trainer::new(config)?;
    let checkpoint = latest_checkpoint(&args.out)?;
    let (model, processor) = match checkpoint.as_deref().or(args.from.as_deref()) {
        Some(folder) => (load_model(folder)?, Processor::from_directory(folder)?),
        None => {
            let tokenizer = vocabulary::train().map_err(|error| error.to_string())?;
            (initial_model(&design::model(&tokenizer)?, 0)?, design::processor(tokenizer)?)
        }
    };
    let trainer = match checkpoint {
        Some(folder) => {
            eprintln!("goes on from {}", folder.display());
            trainer.resume(folder)
        }
        None => trainer,
    };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta} left")?;
    let end = args.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let mut watch = Watch { bar: ProgressBar::new(args.steps).with_style(style), end, loss: None };
    let training = Lessons { split: Split::Train, first: args.first };
    let validation = Lessons { split: Split::Validation, first: 0 };
    let trained = trainer.run(model, &processor, &training, Some(&validation), &mut watch)?;
    watch.bar.finish();
    eprintln!("{} steps, loss {:.4}", trained.steps, trained.loss);
    Ok(())
}
