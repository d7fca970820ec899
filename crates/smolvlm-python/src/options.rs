//! Options of loading a model, as JSON from Python.

use crate::error::{exception, invalid_json, of_kind};
use pyo3::prelude::*;
use serde::Deserialize;
use smolvlm::{
    Adapter, ErrorKind, FeatureCacheOptions, Options, Preset, Progress, Source, Truncation, VideoPromptStyle,
};
use std::path::PathBuf;
use std::str::FromStr;

/// The prefix of a source of random weights.
const RANDOM: &str = "random:";

/// Options as in [`Options`]; the defaults of what is absent.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    mmproj: Option<PathBuf>,
    dtype: Option<String>,
    device: Option<String>,
    threads: Option<usize>,
    adapters: Vec<String>,
    vision_batch: Option<usize>,
    image_splitting: Option<bool>,
    resize: Option<String>,
    video_fps: Option<f64>,
    video_frames: Option<u32>,
    reference_video_text: bool,
    truncate: bool,
    sanitize_control_tokens: bool,
    feature_cache: Option<PathBuf>,
    feature_cache_bytes: Option<u64>,
    max_image_pixels: Option<u64>,
}

/// Parses a source (a folder or GGUF file, `owner/name[@revision]`, `demo` or `random:PRESET`) and options.
pub fn source_and_options(source: &str, options: &str) -> PyResult<(Source, Options)> {
    let mut fields: Fields = serde_json::from_str(options).map_err(|error| invalid_json(&error))?;
    let source = match source.strip_prefix(RANDOM) {
        Some(preset) => Source::Random(parse::<Preset>(preset)?),
        None => Source::parse(source).map_err(exception)?,
    };
    let source = match fields.mmproj.take() {
        Some(path) => source.with_mmproj(path).map_err(exception)?,
        None => source,
    };
    Ok((source, fields.options()?))
}

impl Fields {
    fn options(self) -> PyResult<Options> {
        let mut options = Options {
            threads: self.threads,
            adapters: self.adapters.iter().map(|text| parse::<Adapter>(text)).collect::<PyResult<_>>()?,
            vision_batch: self.vision_batch,
            image_splitting: self.image_splitting,
            video_fps: self.video_fps,
            video_frames: self.video_frames,
            sanitize_control_tokens: self.sanitize_control_tokens,
            ..Options::default()
        };
        if let Some(text) = self.dtype {
            options.dtype = parse(&text)?;
        }
        if let Some(text) = self.device {
            options.device = parse(&text)?;
        }
        if let Some(text) = self.resize {
            options.resize = parse(&text)?;
        }
        if self.reference_video_text {
            options.video_prompt_style = VideoPromptStyle::Reference;
        }
        if self.truncate {
            options.truncation = Truncation::DropOldest;
        }
        if let Some(folder) = self.feature_cache {
            let cache = FeatureCacheOptions::new(folder);
            let bytes = self.feature_cache_bytes.unwrap_or(cache.max_bytes);
            options.feature_cache = Some(cache.max_bytes(bytes));
        }
        if let Some(pixels) = self.max_image_pixels {
            options.limits.image.max_pixels = pixels;
            options.limits.video.image.max_pixels = pixels;
        }
        Ok(options)
    }
}

fn parse<T: FromStr>(text: &str) -> PyResult<T>
where
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| of_kind(ErrorKind::Config, &error))
}

/// Passes progress on to a Python function. Its first exception cancels the work and is returned by the closure at the
/// end.
pub struct Reporter<'a> {
    function: Option<&'a Py<PyAny>>,
    cancel: smolvlm::Cancel,
    /// The exception of the function.
    pub error: Option<PyErr>,
}

impl<'a> Reporter<'a> {
    /// A reporter to this function.
    pub fn new(function: Option<&'a Py<PyAny>>, cancel: &smolvlm::Cancel) -> Self {
        Self { function, cancel: cancel.clone(), error: None }
    }

    /// Reports one event.
    pub fn report(&mut self, progress: Progress<'_>) {
        let Some(function) = self.function else { return };
        let (text, done, total) = match progress {
            Progress::Download { file, done, total } => (file, done, total),
            Progress::Note(text) => (text, 0, 0),
            _ => return,
        };
        let result = Python::attach(|py| function.call1(py, (text, done, total)).map(drop));
        if let Err(error) = result {
            self.cancel.cancel();
            self.error.get_or_insert(error);
        }
    }
}
