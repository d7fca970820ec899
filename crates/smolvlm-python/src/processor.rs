//! The processor: chat template, tokenizer and prompt expansion.

use crate::conversation::Conversation;
use crate::error::{exception, invalid_json};
use crate::interrupt::interruptible;
use crate::options::{Reporter, source_and_options};
use crate::tokenizer::Tokenizer;
use crate::video::VideoPlan;
use pyo3::prelude::*;
use smolvlm::Error;
use smolvlm::config::{ProcessorConfig, TileGrid};
use smolvlm::processor::{self, ChatTemplate, MediaPlan, ProcessorLimits, RenderOptions, VideoPromptStyle};
use std::path::{Path, PathBuf};

/// Converts conversations to prompts.
#[pyclass(frozen, module = "smolvlm._native")]
pub struct Processor {
    processor: processor::Processor,
    folder: Option<PathBuf>,
}

#[pymethods]
impl Processor {
    #[staticmethod]
    #[pyo3(signature = (source, options, progress=None))]
    fn load(py: Python<'_>, source: &str, options: &str, progress: Option<Py<PyAny>>) -> PyResult<Self> {
        let (source, options) = source_and_options(source, options)?;
        let cancel = options.cancel.clone();
        let mut reporter = Reporter::new(progress.as_ref(), &cancel);
        let load = || {
            let checkpoint = source.open(&options.cancel, &mut |event| reporter.report(event))?;
            let folder = checkpoint.folders().last().copied().map(Path::to_owned);
            Ok::<_, Error>(Self { processor: checkpoint.processor(&options)?, folder })
        };
        let loaded = interruptible(py, &cancel, load);
        match reporter.error {
            Some(error) => Err(error),
            None => loaded,
        }
    }

    /// A processor built from its parts. `reference_video_text`: whether prompts state the largest number of frames of
    /// a batch for each of its videos, and times by frame rate, as transformers does.
    #[staticmethod]
    #[pyo3(signature = (config, tokenizer, chat_template=None, reference_video_text=false))]
    fn from_parts(
        config: &str,
        tokenizer: &Tokenizer,
        chat_template: Option<&str>,
        reference_video_text: bool,
    ) -> PyResult<Self> {
        let config = ProcessorConfig::from_json(config).map_err(|error| failure(error.into()))?;
        let style = if reference_video_text { VideoPromptStyle::Reference } else { VideoPromptStyle::PerVideo };
        let processor = processor::Processor::from_parts(
            config,
            (*tokenizer.tokenizer).clone(),
            tokenizer.special.clone(),
            chat_template,
            ProcessorLimits::default(),
        );
        processor.map(|processor| Self::new(processor.with_video_prompt_style(style))).map_err(failure)
    }

    /// The folder of its files, in the cache for a repository; none if it was not loaded from files.
    #[getter]
    fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The `processor_config.json`.
    fn config(&self) -> String {
        self.processor.config().to_json()
    }

    /// The `preprocessor_config.json`.
    fn image_config(&self) -> String {
        self.processor.config().image.to_json()
    }

    /// The `video_preprocessor_config.json`.
    fn video_config(&self) -> String {
        self.processor.config().video.to_json()
    }

    /// The tokenizer.
    fn tokenizer(&self) -> Tokenizer {
        Tokenizer {
            tokenizer: self.processor.tokenizer().clone().into(),
            special: self.processor.special_tokens().clone(),
        }
    }

    /// The source of the chat template.
    fn chat_template(&self) -> Option<String> {
        self.processor.template().map(|template| template.source().to_owned())
    }

    /// Renders the template, or another one; each image and video is a placeholder. `variables` is a JSON object of
    /// further variables.
    #[pyo3(signature = (conversation, add_generation_prompt=true, continue_final=false, template=None, variables=None))]
    fn render(
        &self,
        py: Python<'_>,
        conversation: &Bound<'_, Conversation>,
        add_generation_prompt: bool,
        continue_final: bool,
        template: Option<&str>,
        variables: Option<&str>,
    ) -> PyResult<String> {
        let conversation = &conversation.get().0;
        let mut options = match (add_generation_prompt, continue_final) {
            (_, true) => RenderOptions::continue_final(),
            (true, false) => RenderOptions::answer(),
            (false, false) => RenderOptions::plain(),
        };
        if let Some(json) = variables {
            options.variables = serde_json::from_str(json).map_err(|error| invalid_json(&error))?;
        }
        let processor = &self.processor;
        let render = || match template {
            Some(source) => ChatTemplate::new(source, processor.limits().template_fuel)?.render(
                conversation,
                processor.special_tokens(),
                &options,
            ),
            None => processor.render(conversation, &options),
        };
        py.detach(render).map_err(failure)
    }

    /// Replaces the placeholders of the prompts of a batch by the tokens of their media: grids of images (rows and
    /// columns, 0 and 0 if not split) and plans of videos.
    fn expand(&self, texts: Vec<String>, media: Vec<Vec<Bound<'_, PyAny>>>) -> PyResult<Vec<String>> {
        let mut media = media.into_iter();
        let mut prompts = Vec::with_capacity(texts.len());
        for text in texts {
            let plans = media.next().unwrap_or_default();
            prompts.push((text, plans.iter().map(plan).collect::<PyResult<Vec<_>>>()?));
        }
        self.processor.expand_batch(&prompts).map_err(failure)
    }
}

impl Processor {
    fn new(processor: processor::Processor) -> Self {
        Self { processor, folder: None }
    }

    /// A copy of a model's processor.
    pub fn copy_of(processor: &processor::Processor) -> PyResult<Self> {
        let copy = processor::Processor::from_parts(
            processor.config().clone(),
            processor.tokenizer().clone(),
            processor.special_tokens().clone(),
            processor.template().map(ChatTemplate::source),
            processor.limits().clone(),
        );
        copy.map(|copy| Self::new(copy.with_video_prompt_style(processor.video_prompt_style()))).map_err(failure)
    }
}

fn plan(value: &Bound<'_, PyAny>) -> PyResult<MediaPlan> {
    if let Ok(plan) = value.cast::<VideoPlan>() {
        return Ok(MediaPlan::Video(plan.get().0.clone()));
    }
    let (rows, cols) = value.extract()?;
    Ok(MediaPlan::Image(TileGrid { rows, cols }))
}

fn failure(error: processor::Error) -> PyErr {
    exception(Error::from(error))
}
