//! `smolvlm train` and `smolvlm eval`.

use crate::args::{Eval, Train};
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::say;
use indicatif::{ProgressBar, ProgressStyle};
use smolvlm::model::SmolVlmModel;
use smolvlm::{Adapter, Cancel, Checkpoint, Options, Source};
use smolvlm_train::{
    Dataset, EvalMetrics, JsonLines, Observer, StepMetrics, Trainer, evaluate, initial_model, latest_checkpoint,
    load_adapters, load_model, load_weights, plot_metrics,
};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// File name of the training metrics.
const METRICS: &str = "metrics.jsonl";
/// File name of the loss plot.
const PLOT: &str = "loss.svg";

/// Set by Ctrl-C: training stops after the current step and saves a checkpoint.
static STOP: AtomicBool = AtomicBool::new(false);

/// Trains a checkpoint.
pub fn run(args: &Train) -> Result<(), Failure> {
    let mut inputs = Inputs::default();
    [Some(&args.data), args.eval.as_ref()].into_iter().flatten().for_each(|path| inputs.add(path));
    for name in [METRICS, PLOT] {
        inputs.refuse(&args.out.join(name))?;
    }
    let base = find(&args.model, &args.adapter, "training")?;
    let (data, eval) = (JsonLines::open(&args.data)?, args.eval.as_ref().map(JsonLines::open).transpose()?);
    let (processor, resumed) = (base.processor(&Options::default())?, latest_checkpoint(&args.out)?);
    let whole = resumed.as_ref().filter(|_| !args.lora);
    let model = match whole {
        Some(checkpoint) => load_model(checkpoint)?,
        None if args.from_scratch => initial_model(&base.config()?, args.seed)?,
        None => model(&base, args.seed)?,
    };
    let model = match (args.lora(), &resumed) {
        (None, _) => model,
        (Some(_), Some(checkpoint)) => load_adapters(model, checkpoint)?,
        (Some(lora), None) => lora.attach(model, args.seed)?,
    };
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).map_err(Failure::Signal)?;
    let mut trainer = Trainer::new(args.config())?;
    if let Some(checkpoint) = resumed {
        say::note(format_args!("resumes from {}", checkpoint.display()));
        trainer = trainer.resume(checkpoint);
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let mut bar = Bar(ProgressBar::new(args.steps).with_style(style));
    let eval = eval.as_ref().map(|eval| eval as &dyn Dataset);
    let trained = trainer.run(model, &processor, &data, eval, &mut bar)?;
    bar.0.finish();
    plot_metrics(&args.out.join(METRICS), &args.out.join(PLOT))?;
    if let Some(checkpoint) = trained.checkpoint {
        writeln!(std::io::stdout(), "{}", checkpoint.display())?;
    }
    Ok(())
}

/// Prints the loss of a checkpoint.
pub fn eval(args: &Eval) -> Result<(), Failure> {
    let base = find(&args.model, &args.adapter, "evaluation")?;
    // The seed is unused if the checkpoint has weights.
    let (processor, model) = (base.processor(&Options::default())?, model(&base, 0)?);
    let metrics = evaluate(&model, &processor, &JsonLines::open(&args.data)?, &args.common.config())?;
    let EvalMetrics { eval_loss, samples, targets, .. } = metrics;
    writeln!(std::io::stdout(), "loss {eval_loss:.4} over {targets} tokens of {samples} samples")?;
    Ok(())
}

/// Opens the checkpoint of an action, downloading it if necessary. It must have a vision encoder.
fn find(model: &str, adapters: &[Adapter], action: &'static str) -> Result<Checkpoint, Failure> {
    let mut bar = crate::download_bar::download_bar();
    let checkpoint = Source::parse(model)?.open(&Cancel::new(), &mut bar)?.with_adapters(adapters)?;
    if checkpoint.is_text_only() {
        return Err(smolvlm::Error::TextOnly { action }.into());
    }
    Ok(checkpoint)
}

/// Loads the checkpoint's model for training.
fn model(checkpoint: &Checkpoint, seed: u64) -> Result<SmolVlmModel, Failure> {
    let config = checkpoint.config()?;
    Ok(match checkpoint.weights()? {
        Some(weights) => load_weights(&config, &weights)?,
        None => initial_model(&config, seed)?,
    })
}

/// A progress bar on stderr, if it is a terminal.
struct Bar(ProgressBar);

impl Observer for Bar {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.0.set_position(metrics.step);
        self.0.set_message(format!("loss {:.4}, {:.1} samples/s", metrics.loss, metrics.samples_per_second));
        if STOP.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn evaluated(&mut self, metrics: &EvalMetrics) {
        let EvalMetrics { step, eval_loss, .. } = metrics;
        self.0.suspend(|| say::line(format_args!("step {step}: evaluation loss {eval_loss:.4}")));
    }

    fn saved(&mut self, folder: &Path) {
        self.0.suspend(|| say::line(format_args!("saved {}", folder.display())));
    }

    fn skipped(&mut self, why: &smolvlm_train::Error) {
        self.0.suspend(|| say::note(format_args!("skipped: {why}")));
    }
}
