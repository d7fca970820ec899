//! Measurement of the stages.

use super::work::{self, Work};
use super::{picture, progress};
use crate::failure::Failure;
use smolvlm::model::{SequenceId, Sequences, StepInput};
use smolvlm::processor::{Batch, Media, RenderOptions};
use smolvlm::{Conversation, Error, ImageSource, Message, SamplingParams, SmolVlm};
use std::hint::black_box;
use std::time::Instant;

/// Number of tokens of the answer.
const ANSWER: usize = 64;

/// Number of questions at once.
const PHOTOS: u32 = 64;

/// Context length of each row when decoding is measured.
const CONTEXT: usize = 200;

/// Decode steps per run on a CPU.
const STEPS: usize = 16;
/// Decode steps per run on a GPU, where they are shorter.
const GPU_STEPS: usize = 64;

/// The measurement of a stage.
pub struct Measurement {
    /// The key in JSON.
    pub key: &'static str,
    /// The label in the table.
    pub words: &'static str,
    /// Seconds, or tokens per second; none if skipped.
    pub value: Option<f64>,
    /// Whether the value is tokens per second.
    pub is_rate: bool,
    /// The work of these seconds, or of one token.
    pub work: Option<Work>,
}

impl Measurement {
    /// A time in seconds.
    pub fn seconds(key: &'static str, words: &'static str, value: Option<f64>, work: Option<Work>) -> Self {
        Self { key, words, value, is_rate: false, work }
    }

    /// Seconds per stage, or per token.
    pub fn taken(&self) -> Option<f64> {
        if self.is_rate { self.value.map(|rate| 1.0 / rate) } else { self.value }
    }
}

/// Limits of the measured stages; larger ones are skipped.
pub struct StageLimits {
    /// Maximum number of tiles.
    tiles: usize,
    /// Maximum prompt length.
    prompt: usize,
    /// Maximum number of rows at once.
    rows: usize,
    /// Maximum number of photos at once.
    photos: u32,
}

impl StageLimits {
    pub const CPU: Self = Self { tiles: 17, prompt: usize::MAX, rows: 8, photos: 0 };
    pub const GPU: Self = Self { tiles: usize::MAX, prompt: usize::MAX, rows: usize::MAX, photos: u32::MAX };
    pub const QUICK: Self = Self { tiles: 4, prompt: 100, rows: 8, photos: 0 };
}

/// The model and inputs of the measurements.
pub struct Stages<'a> {
    model: &'a SmolVlm,
    runs: usize,
    question: Conversation,
    batch: Batch,
}

impl<'a> Stages<'a> {
    /// Creates the test image and its tiles.
    pub fn new(model: &'a SmolVlm, runs: usize) -> Result<Self, Failure> {
        let question = question(0)?;
        let batch = process(model, &question)?;
        Ok(Self { model, runs, question, batch })
    }

    /// Measures preprocessing, from a JPEG file to tiles and tokens.
    pub fn image(&self) -> Result<Measurement, Error> {
        progress("image to tiles");
        let seconds = self.median(|| process(self.model, &self.question).map(drop))?;
        Ok(Measurement::seconds("image_s", "1024x768 JPEG to tiles", seconds, None))
    }

    /// Measures a question about the image, from the file to the last token: time to first token and total time.
    pub fn answer(&self) -> Result<[Measurement; 2], Error> {
        let config = self.model.config();
        let prompt = self.batch.prompt_len(0);
        let (mut first, mut total) = (Vec::new(), Vec::new());
        if self.has_room(prompt + ANSWER) {
            progress("question and answer");
            let params = full_answer();
            for run in 0..self.warm_ups() + self.runs {
                let clock = Instant::now();
                let answer = self.model.generate(self.question.clone(), params.clone())?;
                if run >= self.warm_ups() {
                    total.push(clock.elapsed().as_secs_f64());
                    first.push(answer.timings.first_token().as_secs_f64());
                }
            }
        }
        let tiles = work::tile(config, self.batch.edge) * self.batch.tile_count() as f64;
        let start = tiles + work::prefill(&config.text, prompt);
        let whole = start + work::step(&config.text) * (ANSWER - 1) as f64;
        Ok([
            Measurement::seconds("first_token_s", "question to first token", middle(first), Some(start)),
            Measurement::seconds("total_s", "question to 64th token", middle(total), Some(whole)),
        ])
    }

    /// Measures questions about different images at once, from the files to the last tokens: the time per question.
    pub fn answers(&self, limits: &StageLimits) -> Result<Measurement, Failure> {
        let prompt = self.batch.prompt_len(0);
        let mut seconds = Vec::new();
        if PHOTOS <= limits.photos && self.has_room(prompt + ANSWER) {
            progress("questions and answers at once");
            let questions = (0..PHOTOS).map(question).collect::<Result<Vec<_>, Failure>>()?;
            let params = full_answer();
            for run in 0..self.warm_ups() + self.runs {
                let clock = Instant::now();
                self.model.batch(&questions, params.clone())?;
                if run >= self.warm_ups() {
                    seconds.push(clock.elapsed().as_secs_f64() / f64::from(PHOTOS));
                }
            }
        }
        Ok(Measurement::seconds("photos64_s", "each of 64 questions at once", middle(seconds), None))
    }

    /// Measures vision, prefill and decoding separately.
    pub fn inner(&self, limits: &StageLimits) -> Result<Vec<Measurement>, Error> {
        let config = self.model.config();
        let mut measurements = Vec::new();
        for (key, words, count) in [
            ("tile_s", "vision, one tile", 1),
            ("tiles4_s", "vision, each of 4 tiles", 4),
            ("tiles13_s", "vision, each of 13 tiles", 13),
            ("tiles17_s", "vision, each of 17 tiles", 17),
            ("tiles64_s", "vision, each of 64 tiles", 64),
        ] {
            let seconds = if count <= limits.tiles { self.tiles(words, count)? } else { None };
            let each = seconds.map(|seconds| seconds / count as f64);
            measurements.push(Measurement::seconds(key, words, each, Some(work::tile(config, self.batch.edge))));
        }
        for (key, words, tokens) in [
            ("prefill94_s", "prefill, 94 tokens", 94),
            ("prefill900_s", "prefill, 900 tokens", 900),
            ("prefill1200_s", "prefill, 1200 tokens", 1200),
        ] {
            let fits = tokens <= limits.prompt && self.has_room(tokens);
            let seconds = if fits { self.prefill(words, tokens)? } else { None };
            measurements.push(Measurement::seconds(key, words, seconds, Some(work::prefill(&config.text, tokens))));
        }
        for (key, words, rows) in [
            ("decode1_tokens_s", "decoding, 1 row", 1),
            ("decode8_tokens_s", "decoding, 8 rows", 8),
            ("decode64_tokens_s", "decoding, 64 rows", 64),
        ] {
            let fits = rows <= limits.rows && self.has_room(CONTEXT + self.steps());
            let seconds = if fits { self.decode(words, rows)? } else { None };
            let value = seconds.map(|seconds| rows as f64 / seconds);
            // The rows of a step share the weights that are read.
            let work = work::step(&config.text) * (1.0 / rows as f64);
            measurements.push(Measurement { key, words, value, is_rate: true, work: Some(work) });
        }
        Ok(measurements)
    }

    /// Seconds of `count` tiles in vision encoder and connector, as many at a time as for answers.
    fn tiles(&self, words: &str, count: usize) -> Result<Option<f64>, Error> {
        progress(words);
        let edge = self.batch.edge;
        let tile = self.model.config().vision.num_channels * edge * edge;
        let media: Vec<&[f32]> = self.batch.all_media().map(Media::pixels).collect();
        // The image has fewer tiles in some checkpoints, so tiles repeat.
        let tiles: Vec<&[f32]> = media.iter().flat_map(|pixels| pixels.chunks(tile)).cycle().take(count).collect();
        self.median(|| {
            let seen = self.model.model().image_features(&tiles, edge, self.model.vision_batch(), false)?;
            black_box(seen.map(|seen| seen.features.into_data()));
            Ok(())
        })
    }

    /// Seconds of the prefill of `tokens` tokens.
    fn prefill(&self, words: &str, tokens: usize) -> Result<Option<f64>, Error> {
        progress(words);
        let (model, ids) = (self.model.model(), self.text(tokens));
        let mut sequences = model.new_sequences(tokens);
        self.median(|| {
            let sequence = sequences.add();
            black_box(model.step(&mut sequences, &[StepInput::text(sequence, &ids)])?);
            sequences.remove(sequence);
            Ok(())
        })
    }

    /// Seconds of a decode step of `rows` sequences.
    fn decode(&self, words: &str, rows: usize) -> Result<Option<f64>, Error> {
        progress(words);
        let (model, ids, steps) = (self.model.model(), self.text(CONTEXT), self.steps());
        let room = (CONTEXT + steps).next_multiple_of(Sequences::PAGE_TOKENS);
        let mut sequences = model.new_sequences((rows + 1) * room);
        let prompt = sequences.add();
        self.model.on_threads(|| model.step(&mut sequences, &[StepInput::text(prompt, &ids)]))?;
        let seconds = self.median(|| {
            let mut next: Vec<(SequenceId, u32)> = (0..rows).map(|_| (sequences.fork(prompt), ids[0])).collect();
            for _ in 0..steps {
                // The same calls as in greedy generation.
                if self.model.device().device.is_cpu() {
                    let inputs: Vec<StepInput<'_>> =
                        next.iter().map(|(id, token)| StepInput::generated(*id, std::slice::from_ref(token))).collect();
                    black_box(model.step(&mut sequences, &inputs)?);
                } else {
                    let argmax = model.step_argmax(&mut sequences, &next)?;
                    next.iter_mut().zip(argmax).for_each(|((_, next), (token, _))| *next = token);
                }
            }
            next.into_iter().for_each(|(id, _)| sequences.remove(id));
            Ok(())
        })?;
        Ok(seconds.map(|seconds| seconds / steps as f64))
    }

    fn steps(&self) -> usize {
        if self.model.device().device.is_cpu() { STEPS } else { GPU_STEPS }
    }

    /// Tokens other than the image token.
    fn text(&self, count: usize) -> Vec<u32> {
        let config = self.model.config();
        let all = (0..config.text.vocab_size as u32).filter(|&id| id != config.image_token_id);
        all.cycle().take(count).collect()
    }

    fn has_room(&self, tokens: usize) -> bool {
        tokens <= self.model.config().text.max_position_embeddings
    }

    /// Number of runs that are not timed: GPUs record the launches of the second one.
    fn warm_ups(&self) -> usize {
        if self.model.device().device.is_cpu() { 1 } else { 2 }
    }

    /// Median of the run times on the model's threads, after the warm-up runs; none without runs.
    fn median(&self, mut work: impl FnMut() -> Result<(), Error> + Send) -> Result<Option<f64>, Error> {
        self.model.on_threads(|| {
            (0..self.warm_ups()).try_for_each(|_| work())?;
            let timed = |_| {
                let clock = Instant::now();
                work()?;
                Ok(clock.elapsed().as_secs_f64())
            };
            Ok(middle((0..self.runs).map(timed).collect::<Result<_, Error>>()?))
        })
    }
}

/// Greedy decoding of as many tokens as are measured: no token ends it. Suppressed end tokens would need all logits,
/// which a GPU does not send otherwise.
fn full_answer() -> SamplingParams {
    SamplingParams::greedy().max_new_tokens(ANSWER).eos_token_ids([u32::MAX])
}

/// A question about a test image.
fn question(number: u32) -> Result<Conversation, Failure> {
    let image = ImageSource::from(picture::jpeg(number)?);
    Ok(Conversation::from(Message::user().image(image).text("What is in this picture?")))
}

fn process(model: &SmolVlm, question: &Conversation) -> Result<Batch, Error> {
    let conversations = std::slice::from_ref(question);
    model.on_threads(|| Ok(model.processor().process(conversations, &RenderOptions::answer())?))
}

/// The median; none if there are no values.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
