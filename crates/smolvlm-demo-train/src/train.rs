//! Training of all stages.

use crate::stage::Stage;
use crate::{conversation, recipe, vocabulary};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use smolvlm_processor::Processor;
use smolvlm_synth::Split;
use smolvlm_train::{Dataset, EvalMetrics, Example, Observer, Optimizer, SampleError, StepMetrics};
use smolvlm_train::{TrainConfig, Trainer, initial_model, latest_checkpoint, load_model, plot_metrics};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Options of `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Folder of checkpoints and metrics, one subfolder per stage; an interrupted run is resumed
    #[arg(long, default_value = "target/demo-train")]
    out: PathBuf,
    /// Number of steps of the stages: words, near, far, letters, review, lines, pages
    #[arg(long, num_args = 7, default_values_t = [300, 6000, 4000, 9000, 5500, 12000, 6000])]
    steps: Vec<u64>,
    /// Samples per step
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// Train only the last stage, starting from the weights of this checkpoint folder
    #[arg(long)]
    from: Option<PathBuf>,
    /// Index of the first sample: set it in a run that starts from the weights of another
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Stop after this many minutes, with a checkpoint
    #[arg(long)]
    minutes: Option<u64>,
}

/// The infinite data set of a stage and a split.
struct StageDataset {
    stage: Stage,
    split: Split,
    first: u64,
}

impl Dataset for StageDataset {
    fn len(&self) -> Option<u64> {
        None
    }

    fn get(&self, index: u64) -> Result<Example, SampleError> {
        let conversation = conversation::from_sample(self.stage.sample(self.split, self.first + index), true);
        Ok(Example::new(conversation.map_err(|error| SampleError::Read(error.to_string()))?))
    }
}

/// Shows progress, and stops the run at the time limit.
struct Progress {
    bar: ProgressBar,
    end: Option<Instant>,
    loss: Option<f64>,
}

impl Observer for Progress {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        let loss = self.loss.map_or(metrics.loss, |loss| 0.98 * loss + 0.02 * metrics.loss);
        self.loss = Some(loss);
        self.bar.set_position(metrics.step);
        self.bar.set_message(format!("loss {loss:.4}, {:.1} samples/s", metrics.samples_per_second));
        if metrics.step.is_multiple_of(100) && self.bar.is_hidden() {
            eprintln!("step {}: loss {loss:.4}, {:.1} samples/s", metrics.step, metrics.samples_per_second);
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

/// Trains all stages, each from its newest checkpoint, from the previous stage or from scratch.
pub fn run(args: &Train) -> Result<(), Box<dyn Error>> {
    let end = args.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let mut from = args.from.clone();
    let stages = if from.is_some() { &[Stage::Pages][..] } else { &Stage::ALL };
    for (stage, steps) in stages.iter().rev().zip(args.steps.iter().rev()).rev() {
        from = train(args, *stage, *steps, from.as_deref(), end)?;
        if from.is_none() {
            break;
        }
    }
    Ok(())
}

/// Trains one stage; returns its last checkpoint if it was completed.
fn train(
    args: &Train,
    stage: Stage,
    steps: u64,
    from: Option<&Path>,
    end: Option<Instant>,
) -> Result<Option<PathBuf>, Box<dyn Error>> {
    let out = args.out.join(stage.name());
    let config = TrainConfig {
        steps,
        batch_size: args.batch,
        micro_batch: 8,
        optimizer: Optimizer::Muon,
        learning_rate: args.rate,
        final_rate: 0.02,
        warmup: 200,
        freeze: stage.frozen(),
        betas: [0.9, 0.98],
        weight_decay: 0.05,
        shuffle: false,
        output: Some(out.clone()),
        save_every: 250,
        eval_every: 500,
        eval_samples: 128,
        ..TrainConfig::default()
    };
    let checkpoint = latest_checkpoint(&out)?;
    if checkpoint.as_deref().is_some_and(|folder| folder.ends_with(format!("checkpoint-{steps}"))) {
        return Ok(checkpoint);
    }
    let mut trainer = Trainer::new(config)?;
    let (model, tokenizer) = match checkpoint.as_deref().or(from) {
        Some(folder) => (load_model(folder)?, Processor::from_directory(folder)?.tokenizer().clone()),
        None => {
            let tokenizer = vocabulary::train().map_err(|error| error.to_string())?;
            (initial_model(&recipe::model(&tokenizer)?, 0)?, tokenizer)
        }
    };
    let processor = recipe::processor(tokenizer, stage.splits())?;
    if let Some(folder) = checkpoint {
        eprintln!("resumes from {}", folder.display());
        trainer = trainer.resume(folder);
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta} left")?;
    let mut progress = Progress { bar: ProgressBar::new(steps).with_style(style), end, loss: None };
    let training = StageDataset { stage, split: Split::Train, first: args.first };
    let validation = StageDataset { stage, split: Split::Validation, first: 0 };
    let trained = trainer.run(model, &processor, &training, Some(&validation), &mut progress)?;
    progress.bar.finish();
    plot_metrics(&out.join("metrics.jsonl"), &out.join("loss.svg"))?;
    eprintln!("{}: {} steps, loss {:.4}", stage.name(), trained.steps, trained.loss);
    Ok(if trained.steps >= steps { latest_checkpoint(&out)? } else { None })
}
