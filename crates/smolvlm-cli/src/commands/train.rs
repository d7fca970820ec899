//! `smolvlm train` and `smolvlm eval`.

use crate::args::{Eval, Train};
use crate::failure::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use smolvlm::config::{GenerationConfig, ModelConfig};
use smolvlm::model::{SmolVlmModel, Weights};
use smolvlm::processor::Processor;
use smolvlm::{Options, SmolVlm, Source};
use smolvlm_train::{
    Dataset, EvalMetrics, JsonLines, Observer, StepMetrics, Trainer, evaluate, initial_model, latest_checkpoint,
    load_adapters, load_model, load_weights, plot_metrics,
};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by Ctrl-C: training ends after the step, with a checkpoint.
static STOP: AtomicBool = AtomicBool::new(false);

/// Trains a checkpoint.
pub fn run(args: &Train) -> Result<(), Failure> {
    let base = Base::find(&args.model)?;
    let (data, eval) = (JsonLines::open(&args.data)?, args.eval.as_ref().map(JsonLines::open).transpose()?);
    let (processor, resumed) = (base.processor()?, latest_checkpoint(&args.out)?);
    let whole = resumed.as_ref().filter(|_| !args.lora);
    let model = match whole {
        Some(checkpoint) => load_model(checkpoint)?,
        None if args.from_nothing => initial_model(&base.config()?, args.seed)?,
        None => base.model()?,
    };
    let model = match (args.lora(), &resumed) {
        (None, _) => model,
        (Some(_), Some(checkpoint)) => load_adapters(model, checkpoint)?,
        (Some(lora), None) => lora.attach(model, args.seed)?,
    };
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).map_err(Failure::Signal)?;
    let mut trainer = Trainer::new(args.config())?;
    if let Some(checkpoint) = resumed {
        eprintln!("smolvlm: goes on from {}", checkpoint.display());
        trainer = trainer.resume(checkpoint);
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let mut bar = Bar(ProgressBar::new(args.steps).with_style(style));
    let eval = eval.as_ref().map(|eval| eval as &dyn Dataset);
    let trained = trainer.run(model, &processor, &data, eval, &mut bar)?;
    bar.0.finish();
    plot_metrics(&args.out.join("metrics.jsonl"), &args.out.join("loss.svg"))?;
    if let Some(checkpoint) = trained.checkpoint {
        writeln!(std::io::stdout(), "{}", checkpoint.display())?;
    }
    Ok(())
}

/// Prints the loss of a checkpoint.
pub fn eval(args: &Eval) -> Result<(), Failure> {
    let base = Base::find(&args.model)?;
    let (processor, model) = (base.processor()?, base.model()?);
    let model = match &args.adapters {
        Some(adapters) => load_adapters(model, adapters)?,
        None => model,
    };
    let metrics = evaluate(&model, &processor, &JsonLines::open(&args.data)?, &args.common.config())?;
    let EvalMetrics { eval_loss, samples, targets, .. } = metrics;
    writeln!(std::io::stdout(), "loss {eval_loss:.4} over {targets} tokens of {samples} samples")?;
    Ok(())
}

/// The checkpoint that training starts from.
enum Base {
    Folder(PathBuf),
    #[cfg(feature = "demo")]
    Demo,
}

impl Base {
    /// Finds it; downloads it if need be.
    fn find(model: &str) -> Result<Self, Failure> {
        match Source::parse(model)? {
            Source::Directory(path) => Ok(Self::Folder(path)),
            #[cfg(feature = "demo")]
            Source::Demo => Ok(Self::Demo),
            #[cfg(feature = "hub")]
            Source::Hub { repo, revision } => {
                let mut bar = crate::output::download_bar();
                let folder = smolvlm::hub::download(&repo, revision.as_deref(), &mut bar);
                Ok(Self::Folder(folder.map_err(smolvlm::Error::from)?))
            }
            _ => Err(Failure::Write { path: model.into(), message: "is no checkpoint folder".to_owned() }),
        }
    }

    fn processor(&self) -> Result<Processor, smolvlm::Error> {
        let source = match self {
            Self::Folder(folder) => Source::directory(folder),
            #[cfg(feature = "demo")]
            Self::Demo => Source::demo(),
        };
        SmolVlm::load_processor(source, &Options::default(), &mut |_| {})
    }

    /// The configuration, with the generation parameters that the trained model is to have.
    fn config(&self) -> Result<ModelConfig, smolvlm::Error> {
        let mut config = match self {
            Self::Folder(folder) => ModelConfig::from_directory(folder)?,
            #[cfg(feature = "demo")]
            Self::Demo => ModelConfig::from_json(smolvlm::demo::CONFIG)?,
        };
        config.generation = match self {
            Self::Folder(folder) => GenerationConfig::from_directory(folder, &config)?,
            #[cfg(feature = "demo")]
            Self::Demo => GenerationConfig::from_json(smolvlm::demo::GENERATION_CONFIG)?,
        };
        Ok(config)
    }

    fn model(&self) -> Result<SmolVlmModel, Failure> {
        let weights = match self {
            Self::Folder(folder) => Weights::open(folder),
            #[cfg(feature = "demo")]
            Self::Demo => Weights::from_bytes(smolvlm::demo::WEIGHTS),
        };
        Ok(load_weights(&self.config()?, &weights.map_err(smolvlm::Error::from)?)?)
    }
}

/// A bar on stderr, if that is a terminal.
struct Bar(ProgressBar);

impl Observer for Bar {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.0.set_position(metrics.step);
        self.0.set_message(format!("loss {:.4}, {:.1} samples/s", metrics.loss, metrics.samples_per_second));
        if STOP.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn evaluated(&mut self, metrics: &EvalMetrics) {
        let EvalMetrics { step, eval_loss, .. } = metrics;
        self.0.suspend(|| eprintln!("step {step}: evaluation loss {eval_loss:.4}"));
    }

    fn saved(&mut self, folder: &Path) {
        self.0.suspend(|| eprintln!("saved {}", folder.display()));
    }

    fn skipped(&mut self, why: &smolvlm_train::Error) {
        self.0.suspend(|| eprintln!("smolvlm: left out: {why}"));
    }
}
