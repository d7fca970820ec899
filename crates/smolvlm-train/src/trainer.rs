//! The training loop.

use crate::checkpoint::{self, State};
use crate::metrics::MetricsFile;
use crate::optimizer::{AdamW, Moments, Update};
use crate::order::Order;
use crate::parameters::{Parameter, parameters, update_parameters};
use crate::prefetch::{Batch, BatchLoader};
use crate::workers::Workers;
use crate::{Dataset, Error, EvalMetrics, Observer, Optimizer, Policy, Sample, StepMetrics, TrainConfig, muon};
use rayon::prelude::*;
use smolvlm_model::SmolVlmModel;
use smolvlm_processor::Processor;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

/// Trains a model with fixed options.
///
/// ```no_run
/// use smolvlm_processor::{Message, Processor};
/// use smolvlm_train::{Example, TrainConfig, Trainer, load_model};
///
/// let folder = std::path::Path::new("SmolVLM2-256M-Video-Instruct");
/// let processor = Processor::from_directory(folder)?;
/// let question = Message::user().image("cat.jpg").text("Who is this?");
/// let samples = vec![Example::answer(question, "That is Minka.")];
///
/// let config = TrainConfig { steps: 20, batch_size: 1, output: Some("minka".into()), ..TrainConfig::default() };
/// let trained = Trainer::new(config)?.run(load_model(folder)?, &processor, &samples, None, &mut ())?;
/// println!("loss {}", trained.loss);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Trainer {
    config: TrainConfig,
    resume: Option<PathBuf>,
}

/// The result of training.
#[derive(Debug)]
#[non_exhaustive]
pub struct Trained {
    /// The trained model.
    pub model: SmolVlmModel,
    /// Steps done, including those before the run was resumed.
    pub steps: u64,
    /// Mean loss of the last step.
    pub loss: f64,
    /// Loss of the last evaluation.
    pub eval_loss: Option<f64>,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
}

impl Trainer {
    /// A trainer with these options.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for an invalid value.
    pub fn new(config: TrainConfig) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self { config, resume: None })
    }

    /// Resumes from a checkpoint of the same run: it restores the optimizer state, the step and the position in the
    /// order of samples. The model passed to [`run`](Self::run) must be that of the checkpoint.
    #[must_use]
    pub fn resume(mut self, checkpoint: impl Into<PathBuf>) -> Self {
        self.resume = Some(checkpoint.into());
        self
    }

    /// The configuration.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Trains a model, in f32 on the CPU, on the assistant's messages of `dataset`.
    ///
    /// # Errors
    ///
    /// All variants of [`Error`]. Checkpoints written before remain.
    pub fn run(
        &self,
        mut model: SmolVlmModel,
        processor: &Processor,
        dataset: &dyn Dataset,
        eval: Option<&dyn Dataset>,
        observer: &mut dyn Observer,
    ) -> Result<Trained, Error> {
        if dataset.is_empty() {
            return Err(Error::EmptyDataset);
        }
        let config = &self.config;
        let context = model.config().text.max_position_embeddings;
        let limit = config.max_tokens.unwrap_or(context).min(context);
        let loader = |dataset| BatchLoader { dataset, processor, limit, policy: config.bad_samples };
        let mut run = Run::new(config, &model, processor, self.resume.as_deref())?;
        let order = Order::new(dataset.len(), config.shuffle.then_some(run.state.seed));
        let (state, training) = (run.state, loader(dataset));
        let remaining = config.steps.saturating_sub(state.step);
        model = std::thread::scope(|scope| {
            // One batch is buffered while the next one is prepared.
            let (sender, batches) = sync_channel(1);
            scope.spawn(move || training.send_batches(order, state.position, config.batch_size, remaining, &sender));
            // The other thread ends when `batches` is dropped at the end of this block.
            while run.state.step < config.steps {
                let started = Instant::now();
                let batch = batches.recv().map_err(|_| Error::Panic)??;
                let flow;
                (model, flow) = run.step(model, batch, started, observer)?;
                let stopped = flow.is_break();
                let step = run.state.step;
                let due = |every: u64| stopped || step == config.steps || (every > 0 && step.is_multiple_of(every));
                if let Some(eval) = eval.filter(|_| due(config.eval_every)) {
                    run.evaluate(&model, &loader(eval), observer)?;
                }
                if due(config.save_every) {
                    run.save(&model, observer)?;
                }
                if stopped {
                    break;
                }
            }
            Ok::<SmolVlmModel, Error>(model)
        })?;
        Ok(run.finish(model))
    }
}

/// Evaluates the mean loss of a model over a data set.
///
/// # Errors
///
/// Errors of samples and of the model.
pub fn evaluate(
    model: &SmolVlmModel,
    processor: &Processor,
    dataset: &dyn Dataset,
    config: &TrainConfig,
) -> Result<EvalMetrics, Error> {
    let mut run = Run::new(&TrainConfig { output: None, ..config.clone() }, model, processor, None)?;
    let context = model.config().text.max_position_embeddings;
    let limit = config.max_tokens.unwrap_or(context).min(context);
    let loader = BatchLoader { dataset, processor, limit, policy: config.bad_samples };
    run.evaluate(model, &loader, &mut ())
}

/// A run in progress.
struct Run<'a> {
    config: TrainConfig,
    processor: &'a Processor,
    parameters: Vec<Parameter>,
    moments: Vec<Moments>,
    optimizer: AdamW,
    workers: Workers,
    state: State,
    metrics: Option<MetricsFile>,
    loss: f64,
    eval_loss: Option<f64>,
    checkpoint: Option<PathBuf>,
}

impl<'a> Run<'a> {
    fn new(
        config: &TrainConfig,
        model: &SmolVlmModel,
        processor: &'a Processor,
        resume: Option<&Path>,
    ) -> Result<Self, Error> {
        let parameters = parameters(model, &config.freeze)?;
        let (state, moments) = match resume {
            Some(folder) => checkpoint::read(folder, &parameters)?,
            None => {
                let zeros = |parameter: &Parameter| Moments::zeros(if parameter.trainable { parameter.len } else { 0 });
                (State { seed: config.seed, ..State::default() }, parameters.iter().map(zeros).collect())
            }
        };
        let metrics = match &config.output {
            None => None,
            Some(output) => {
                std::fs::create_dir_all(output).map_err(|source| Error::io(output, source))?;
                Some(MetricsFile::open(output.join("metrics.jsonl"))?)
            }
        };
        let TrainConfig { betas, epsilon, weight_decay, .. } = *config;
        Ok(Self {
            workers: Workers::new(config.threads(), config.micro_batch)?,
            optimizer: AdamW { betas, epsilon, weight_decay },
            config: config.clone(),
            processor,
            parameters,
            moments,
            state,
            metrics,
            loss: f64::NAN,
            eval_loss: None,
            checkpoint: None,
        })
    }

    /// Trains on a batch; returns the updated model and whether to continue.
    fn step(
        &mut self,
        mut model: SmolVlmModel,
        batch: Batch,
        started: Instant,
        observer: &mut dyn Observer,
    ) -> Result<(SmolVlmModel, ControlFlow<()>), Error> {
        let waited = started.elapsed().as_secs_f64();
        batch.skipped.iter().for_each(|error| observer.skipped(error));
        let samples = batch.samples;
        let targets: usize = samples.iter().map(Sample::targets).sum();
        let found = self.workers.run(&model, &self.parameters, &samples, 1.0 / targets as f32, true)?;
        let squares: f64 = found
            .gradients
            .par_iter()
            .map(|gradient| gradient.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>())
            .collect::<Vec<f64>>()
            .into_iter()
            .sum();
        let grad_norm = squares.sqrt();
        let rate = self.config.schedule().rate(self.state.step);
        self.state = State { step: self.state.step + 1, position: batch.next, ..self.state };
        let bad = if !found.loss.is_finite() {
            Some("loss")
        } else if !grad_norm.is_finite() {
            Some("gradient")
        } else {
            None
        };
        if let Some(what) = bad.filter(|_| self.config.bad_steps == Policy::Stop) {
            return Err(Error::NotFinite { step: self.state.step, what });
        }
        if bad.is_none() {
            self.state.updates += 1;
            let scale = if grad_norm > self.config.clip_norm { self.config.clip_norm / grad_norm } else { 1.0 };
            model = self.update(model, &found.gradients, rate, scale as f32);
        }
        self.loss = found.loss;
        let seconds = started.elapsed().as_secs_f64();
        let metrics = StepMetrics {
            step: self.state.step,
            loss: found.loss,
            rate,
            grad_norm,
            samples: samples.len(),
            tokens: samples.iter().map(|sample| sample.ids.len()).sum(),
            targets,
            tiles: samples.iter().map(|sample| sample.tiles).sum(),
            seconds,
            waited,
            samples_per_second: samples.len() as f64 / seconds,
            skipped: bad.is_some(),
        };
        if let Some(file) = &mut self.metrics {
            file.write(&metrics)?;
        }
        Ok((model, observer.step(&metrics)))
    }

    /// Applies an optimizer step. It takes the model by value, so that its tensors are not shared and are updated in
    /// place.
    fn update(&mut self, model: SmolVlmModel, gradients: &[Vec<f32>], rate: f64, scale: f32) -> SmolVlmModel {
        let (optimizer, parameters, moments) = (self.optimizer, &self.parameters, &mut self.moments);
        let with_muon = self.config.optimizer == Optimizer::Muon;
        let all = parameters.par_iter().zip(moments.par_iter_mut()).zip(gradients);
        let steps: Vec<Option<Vec<f32>>> = all
            .map(|((parameter, moments), gradient)| {
                let rows = parameter.outputs.filter(|_| with_muon && parameter.trainable && !gradient.is_empty())?;
                Some(muon::step(gradient, scale, &mut moments.mean, rows))
            })
            .collect();
        let keep = (1.0 - rate * optimizer.weight_decay) as f32;
        let step = self.state.updates;
        update_parameters(model, |number, values| {
            let (Some(parameter), Some(gradient)) = (parameters.get(number), gradients.get(number)) else { return };
            if let Some(Some(step)) = steps.get(number) {
                let changes = values.iter_mut().zip(step);
                changes.for_each(|(value, step)| *value = *value * keep - rate as f32 * step);
            } else if let Some(moments) =
                moments.get_mut(number).filter(|_| parameter.trainable && !gradient.is_empty())
            {
                optimizer.update(values, gradient, moments, Update { step, rate, scale, decays: parameter.decays });
            }
        })
    }

    fn evaluate(
        &mut self,
        model: &SmolVlmModel,
        loader: &BatchLoader<'_>,
        observer: &mut dyn Observer,
    ) -> Result<EvalMetrics, Error> {
        let started = Instant::now();
        let count = loader.dataset.len().unwrap_or(u64::MAX).min(self.config.eval_samples);
        let (mut loss, mut targets, mut samples) = (0.0, 0, 0);
        let size = (self.config.batch_size as u64).max(1);
        for start in (0..count).step_by(usize::try_from(size).unwrap_or(usize::MAX)) {
            let mut batch = Vec::new();
            for index in start..count.min(start + size) {
                match loader.sample(index) {
                    Ok(sample) => batch.push(sample),
                    Err(error) if loader.policy == Policy::Skip => observer.skipped(&error),
                    Err(error) => return Err(error),
                }
            }
            loss += self.workers.run(model, &self.parameters, &batch, 1.0, false)?.loss;
            targets += batch.iter().map(Sample::targets).sum::<usize>();
            samples += batch.len();
        }
        let seconds = started.elapsed().as_secs_f64();
        let eval_loss = loss / targets.max(1) as f64;
        let metrics = EvalMetrics { step: self.state.step, eval_loss, samples, targets, seconds };
        self.eval_loss = Some(eval_loss);
        if let Some(file) = &mut self.metrics {
            file.write(&metrics)?;
        }
        observer.evaluated(&metrics);
        Ok(metrics)
    }

    fn save(&mut self, model: &SmolVlmModel, observer: &mut dyn Observer) -> Result<(), Error> {
        let Some(output) = &self.config.output else { return Ok(()) };
        let parts = (model, self.processor);
        let folder = checkpoint::save(output, &self.config, parts, &self.parameters, &self.moments, self.state)?;
        observer.saved(&folder);
        self.checkpoint = Some(folder);
        Ok(())
    }

    fn finish(self, model: SmolVlmModel) -> Trained {
        Trained {
            model,
            steps: self.state.step,
            loss: self.loss,
            eval_loss: self.eval_loss,
            checkpoint: self.checkpoint,
        }
    }
}
