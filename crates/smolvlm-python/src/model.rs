//! The loaded model.

use crate::conversation::{Conversation, prompt, render_options};
use crate::error::{exception, invalid_json, of_kind};
use crate::fork::{HomeProcess, check_threads};
use crate::interrupt::{Cancel, child, interruptible};
use crate::options::{Reporter, source_and_options};
use crate::processor::Processor;
use crate::stream::Stream;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray4};
use pyo3::prelude::*;
use pyo3::types::PyList;
use pythonize::pythonize;
use serde::Serialize;
use serde_json::{Value, json};
use smolvlm::config::{Preset, TileGrid};
use smolvlm::image::Tiles;
use smolvlm::{
    Calibration, DecideOptions, Error, ErrorKind, Estimator, Generation, HiddenStates, Prompt, Question,
    SamplingParams, SmolVlm,
};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Prompts of one call that are prepared and answered at the same time: enough to fill the engine's steps, few enough
/// that their pixels fit into memory.
const IN_FLIGHT: usize = 8;

/// A loaded model.
#[pyclass(frozen, module = "smolvlm._native")]
pub struct Model {
    /// None only while it is dropped.
    model: Option<SmolVlm>,
    home: HomeProcess,
}

impl Drop for Model {
    fn drop(&mut self) {
        if !self.home.is_current() {
            // A forked process has none of the threads that would be waited for.
            std::mem::forget(self.model.take());
        }
    }
}

/// The answers to one prompt.
type Answers = Result<Vec<Generation>, Error>;

/// Token ids `[tokens]` and hidden states `[tokens, hidden]`.
type States<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<f32>>);

#[pymethods]
impl Model {
    #[staticmethod]
    #[pyo3(signature = (source, options, progress=None, cancel=None))]
    fn load(
        py: Python<'_>,
        source: &str,
        options: &str,
        progress: Option<Py<PyAny>>,
        cancel: Option<&Bound<'_, Cancel>>,
    ) -> PyResult<Self> {
        check_threads()?;
        let (source, mut options) = source_and_options(source, options)?;
        let cancel = child(cancel);
        options.cancel = cancel.clone();
        let mut reporter = Reporter::new(progress.as_ref(), &cancel);
        let load = || SmolVlm::load_with_progress(source, options, &mut |event| reporter.report(event));
        let loaded = interruptible(py, &cancel, load);
        // An exception of the progress function cancels loading.
        let model = match reporter.error {
            Some(error) => Err(error),
            None => loaded,
        }?;
        Ok(Self { model: Some(model), home: HomeProcess::current() })
    }

    #[pyo3(signature = (prompts, params, continue_final=false, sanitize=false, return_exceptions=false, cancel=None))]
    #[expect(clippy::too_many_arguments, reason = "the names of Python's keyword arguments")]
    fn generate<'py>(
        &self,
        py: Python<'py>,
        prompts: Vec<Bound<'py, PyAny>>,
        params: &str,
        continue_final: bool,
        sanitize: bool,
        return_exceptions: bool,
        cancel: Option<&Bound<'py, Cancel>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let render = render_options(continue_final, sanitize);
        let prompts = prompts.iter().map(|value| prompt(value, &render)).collect::<PyResult<Vec<_>>>()?;
        let params = self.params(params)?;
        let cancel = child(cancel);
        let model = self.model()?.with_cancel(&cancel);
        let answers =
            interruptible(py, &cancel, || Ok::<_, Error>(answer(&model, prompts, &params, return_exceptions)))?;
        let list = PyList::empty(py);
        for answers in answers {
            match answers {
                Ok(answers) => list.append(to_python(py, &answers)?)?,
                Err(error) if return_exceptions => list.append(exception(error).into_value(py))?,
                Err(error) => return Err(exception(error)),
            }
        }
        Ok(list)
    }

    #[pyo3(signature = (input_ids, pixels, params, cancel=None))]
    fn generate_from_inputs<'py>(
        &self,
        py: Python<'py>,
        input_ids: Vec<Vec<u32>>,
        pixels: Vec<Option<PyReadonlyArray4<'py, f32>>>,
        params: &str,
        cancel: Option<&Bound<'py, Cancel>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let params = self.params(params)?;
        let cancel = child(cancel);
        let model = self.model()?.with_cancel(&cancel);
        let mut rows = Vec::with_capacity(input_ids.len());
        let mut pixels = pixels.into_iter();
        for ids in input_ids {
            rows.push((ids, pixels.next().flatten().map_or_else(|| Ok(Vec::new()), |pixels| tiles(&pixels))?));
        }
        let answers = interruptible(py, &cancel, || {
            let batch = model.processor().process_inputs(rows)?;
            model.generate_batch(batch, params)
        })?;
        let list = PyList::empty(py);
        answers.iter().try_for_each(|answer| list.append(to_python(py, answer)?))?;
        Ok(list)
    }

    #[pyo3(signature = (prompt, params, continue_final=false, sanitize=false))]
    fn stream(
        &self,
        py: Python<'_>,
        prompt: &Bound<'_, PyAny>,
        params: &str,
        continue_final: bool,
        sanitize: bool,
    ) -> PyResult<Stream> {
        let prompt = self::prompt(prompt, &render_options(continue_final, sanitize))?;
        let params = self.params(params)?;
        let cancel = smolvlm::Cancel::new();
        let model = self.model()?.with_cancel(&cancel);
        let stream = interruptible(py, &cancel, || model.stream(prompt, params))?;
        Ok(Stream::new(stream, cancel))
    }

    #[pyo3(signature = (conversation, questions, calibration=None, cancel=None))]
    fn decide<'py>(
        &self,
        py: Python<'py>,
        conversation: &Bound<'py, Conversation>,
        questions: &str,
        calibration: Option<&str>,
        cancel: Option<&Bound<'py, Cancel>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let questions: Vec<Question> =
            serde_json::from_str(questions).map_err(|error| of_kind(ErrorKind::Input, &error))?;
        let mut options = DecideOptions::default();
        if let Some(text) = calibration {
            options.calibration =
                serde_json::from_str::<Calibration>(text).map_err(|error| of_kind(ErrorKind::Input, &error))?;
        }
        let cancel = child(cancel);
        let model = self.model()?.with_cancel(&cancel);
        let conversation = conversation.get().0.clone();
        let decisions = interruptible(py, &cancel, || model.decide(conversation, &questions, &options))?;
        to_python(py, &decisions)
    }

    #[pyo3(signature = (conversations, cancel=None))]
    fn hidden_states<'py>(
        &self,
        py: Python<'py>,
        conversations: Vec<Bound<'py, Conversation>>,
        cancel: Option<&Bound<'py, Cancel>>,
    ) -> PyResult<Vec<States<'py>>> {
        let conversations: Vec<_> = conversations.iter().map(|conversation| conversation.get().0.clone()).collect();
        let cancel = child(cancel);
        let model = self.model()?.with_cancel(&cancel);
        let rows = interruptible(py, &cancel, || model.hidden_states(&conversations))?;
        rows.into_iter().map(|row| states(py, row)).collect()
    }

    /// The checkpoint's sampling parameters.
    fn defaults<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.model()?.sampling())
    }

    /// The checkpoint's `config.json`.
    fn config(&self) -> PyResult<String> {
        Ok(self.model()?.config().to_json())
    }

    /// The checkpoint's `video_preprocessor_config.json`.
    fn video_config(&self) -> PyResult<String> {
        Ok(self.model()?.processor().config().video.to_json())
    }

    /// The checkpoint's processor.
    fn processor(&self) -> PyResult<Processor> {
        Processor::copy_of(self.model()?.processor())
    }

    #[getter]
    fn device(&self) -> PyResult<String> {
        Ok(self.model()?.device().device.to_string())
    }

    #[getter]
    fn dtype(&self) -> PyResult<String> {
        Ok(self.model()?.format().to_string())
    }

    /// Counts of the engine's work since loading.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = self.model()?.engine_stats();
        let value = json!({
            "tiles_encoded": stats.tiles_encoded,
            "tiles_reused": stats.tiles_reused,
            "tiles_read": stats.tiles_read,
            "prefix_pages_hit": stats.prefix_pages_hit,
            "kv_pages": stats.kv_pages,
            "decode_steps": stats.decode_steps,
            "decode_tokens": stats.decode_tokens,
            "drafted_tokens": stats.drafted_tokens,
            "accepted_drafts": stats.accepted_drafts,
        });
        to_python(py, &value)
    }
}

impl Model {
    /// The model, unless the process was forked.
    fn model(&self) -> PyResult<&SmolVlm> {
        self.home.check()?;
        self.model.as_ref().ok_or_else(|| exception(Error::EngineStopped))
    }

    /// The checkpoint's parameters, replaced by those given as a JSON object.
    fn params(&self, json: &str) -> PyResult<SamplingParams> {
        let mut given: Value = serde_json::from_str(json).map_err(|error| invalid_json(&error))?;
        let mut params = serde_json::to_value(self.model()?.sampling()).map_err(|error| invalid_json(&error))?;
        if let (Value::Object(params), Value::Object(given)) = (&mut params, &mut given) {
            // As in transformers, it takes precedence.
            if given.contains_key("max_new_tokens") {
                given.remove("max_length");
                params.insert("max_length".to_owned(), Value::Null);
            }
            params.append(given);
        }
        serde_json::from_value(params).map_err(|error| of_kind(ErrorKind::Input, &error))
    }
}

/// Answers prompts on several threads, so that media of some are decoded while others run. Unless `goes_on`, the first
/// error ends the work.
fn answer(model: &SmolVlm, prompts: Vec<Prompt>, params: &SamplingParams, goes_on: bool) -> Vec<Answers> {
    let one = |prompt| model.generate_all(prompt, params.clone());
    if prompts.len() < 2 {
        return prompts.into_iter().map(one).collect();
    }
    let threads = prompts.len().min(IN_FLIGHT);
    let slots: Vec<_> = prompts.into_iter().map(|prompt| (Mutex::new(Some(prompt)), Mutex::new(None))).collect();
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((prompt, answers)) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if has_failed.load(Ordering::Relaxed) && !goes_on {
                        break;
                    }
                    let result = take(prompt).map(one);
                    has_failed.fetch_or(matches!(result, Some(Err(_))), Ordering::Relaxed);
                    *answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = result;
                }
            });
        }
    });
    slots.iter().filter_map(|(_, answers)| take(answers)).collect()
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
}

/// Tiles, each as an image that is not split.
fn tiles(pixels: &PyReadonlyArray4<'_, f32>) -> PyResult<Vec<Tiles>> {
    let array = pixels.as_array();
    let (_, channels, height, width) = array.dim();
    if channels != 3 || height != width {
        let error = format!("the shape of tiles is {:?}, not (tiles, 3, edge, edge)", array.shape());
        return Err(of_kind(ErrorKind::Input, &error));
    }
    let tile = |tile: numpy::ndarray::ArrayView3<'_, f32>| Tiles {
        pixels: tile.iter().copied().collect(),
        tiles: 1,
        edge: height,
        grid: TileGrid::WHOLE,
    };
    Ok(array.outer_iter().map(tile).collect())
}

fn states(py: Python<'_>, row: HiddenStates) -> PyResult<States<'_>> {
    let ids: Vec<i64> = row.token_ids.iter().map(|&id| id.into()).collect();
    let shape = [row.token_ids.len(), row.states.data.len() / row.token_ids.len().max(1)];
    Ok((ids.into_pyarray(py), row.states.data.into_pyarray(py).reshape(shape)?))
}

/// A serializable value as Python's own types.
pub fn to_python<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    Ok(pythonize(py, value)?)
}

/// Tokens, tiles and memory that a conversation needs, without loading weights.
#[pyfunction]
pub fn estimate<'py>(
    py: Python<'py>,
    source: &str,
    options: &str,
    conversation: &Bound<'py, Conversation>,
    new_tokens: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (source, options) = source_and_options(source, options)?;
    let conversation = conversation.get().0.clone();
    let estimate = interruptible(py, &options.cancel.clone(), || {
        Estimator::open(source, &options, &mut |_| {})?.estimate(&conversation, new_tokens)
    })?;
    let (prompt, memory) = (&estimate.prompt, &estimate.memory);
    let value = json!({
        "prompt_tokens": prompt.prompt_tokens,
        "image_tokens": prompt.image_tokens,
        "tiles": prompt.tiles,
        "refused": estimate.refused,
        "memory": {
            "weights": memory.weights,
            "pixels": memory.pixels,
            "vision": memory.vision,
            "cache": memory.cache,
            "prefill": memory.prefill,
            "peak": memory.peak(),
        },
    });
    to_python(py, &value)
}

/// Names of the sizes that `random:PRESET` can have.
#[pyfunction]
pub fn presets() -> Vec<&'static str> {
    Preset::ALL.iter().map(Preset::name).collect()
}
