//! Processor configuration, combined from the files of a checkpoint directory.

use std::{collections::BTreeMap, io::ErrorKind, path::Path};

use serde_json::{Value, json};

use crate::{
    DefaultPrompts, Error, ImageProcessorConfig, VideoProcessorConfig,
    check::at_least_one,
    json::{self, COUNT, Node},
    template::Templates,
    text_file,
};

/// Image tokens per tile if no file specifies it.
const DEFAULT_IMAGE_SEQ_LEN: usize = 169;

/// Parameters of the preprocessing from conversations to model inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessorConfig {
    /// Image tokens per tile. Must equal [`crate::ModelConfig::image_seq_len`] of the model.
    pub image_seq_len: usize,
    /// Parameters of image preprocessing.
    pub image: ImageProcessorConfig,
    /// Parameters of video preprocessing.
    pub video: VideoProcessorConfig,
    /// The chat template, in the Jinja language.
    pub chat_template: Option<String>,
    /// Additional chat templates by name.
    pub named_chat_templates: BTreeMap<String, String>,
    /// Default prompts for media without a question.
    pub default_prompts: DefaultPrompts,
}

impl Default for ProcessorConfig {
    fn default() -> Self {
        ProcessorConfig {
            image_seq_len: DEFAULT_IMAGE_SEQ_LEN,
            image: ImageProcessorConfig::default(),
            video: VideoProcessorConfig::default(),
            chat_template: None,
            named_chat_templates: BTreeMap::new(),
            default_prompts: DefaultPrompts::default(),
        }
    }
}

/// The content of `processor_config.json`.
#[derive(Default)]
struct Sections {
    image_seq_len: Option<usize>,
    image: Option<ImageProcessorConfig>,
    video: Option<VideoProcessorConfig>,
    /// The video configuration derived from the image section.
    video_of_image: Option<VideoProcessorConfig>,
    templates: Option<Templates>,
    default_prompts: DefaultPrompts,
}

impl Sections {
    fn read(node: &Node<'_>) -> Result<Self, Error> {
        let image = node.object("image_processor")?;
        let video = node.object("video_processor")?;
        Ok(Sections {
            image_seq_len: node.get("image_seq_len", COUNT)?,
            image: image.as_ref().map(ImageProcessorConfig::read).transpose()?,
            video: video.as_ref().map(VideoProcessorConfig::read).transpose()?,
            video_of_image: match video {
                Some(_) => None,
                None => image.as_ref().map(VideoProcessorConfig::read).transpose()?,
            },
            templates: Templates::read(node)?,
            default_prompts: DefaultPrompts::read(node)?,
        })
    }
}

impl ProcessorConfig {
    /// Parses and validates the text of a `processor_config.json` with all sections, as transformers 5 saves it. If the
    /// video section is missing, it is derived from the image section.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] if the text is not JSON, [`Error::Type`] or [`Error::Unsupported`] with the key path of an
    /// invalid value, [`Error::Invalid`] without an image section, and the errors of [`ProcessorConfig::validate`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = json::parse(text, "processor configuration")?;
        let sections = Sections::read(&Node::root(&value, "processor configuration")?)?;
        let image = sections.image.ok_or_else(|| {
            Error::invalid("image_processor", "is missing; older checkpoints keep it in preprocessor_config.json")
        })?;
        let video = sections.video.or(sections.video_of_image).unwrap_or_default();
        let templates = sections.templates.unwrap_or_default();
        Self::assemble(sections.image_seq_len, image, video, templates, sections.default_prompts)
    }

    /// Reads the configuration from a checkpoint directory. For each part, the first source in this order is used
    /// (transformers 5.24.0, `processing_utils.py`):
    ///
    /// - image: `image_processor` in `processor_config.json`; `preprocessor_config.json`
    /// - video: `video_processor` in `processor_config.json`; `video_preprocessor_config.json`;
    ///   `preprocessor_config.json`; `image_processor` in `processor_config.json`
    /// - chat template: `chat_template` in `processor_config.json`; `chat_template.json`; `chat_template.jinja` and
    ///   `chat_templates/*.jinja`
    /// - image tokens per tile: `processor_config.json`; 169 by default
    /// - default prompts: `processor_config.json`
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::TooLarge`] for a file, also if no file has the image part, [`Error::InFile`]
    /// for an invalid file, and [`Error::Invalid`] for `chat_template.json` next to `chat_templates`.
    pub fn from_directory(dir: &Path) -> Result<Self, Error> {
        let sections = read_file(dir, "processor_config.json", Sections::read)?.unwrap_or_default();
        let preprocessor = "preprocessor_config.json";
        let image = match sections.image {
            Some(image) => image,
            None => match read_file(dir, preprocessor, ImageProcessorConfig::read)? {
                Some(image) => image,
                None => {
                    return Err(Error::Read { path: dir.join(preprocessor), source: ErrorKind::NotFound.into() });
                }
            },
        };
        let mut video = sections.video;
        for name in ["video_preprocessor_config.json", preprocessor] {
            if video.is_none() {
                video = read_file(dir, name, VideoProcessorConfig::read)?;
            }
        }
        let video = video.or(sections.video_of_image).unwrap_or_default();
        let templates = match sections.templates {
            Some(templates) => templates,
            None => Templates::from_directory(dir)?,
        };
        Self::assemble(sections.image_seq_len, image, video, templates, sections.default_prompts)
    }

    fn assemble(
        image_seq_len: Option<usize>,
        image: ImageProcessorConfig,
        video: VideoProcessorConfig,
        templates: Templates,
        default_prompts: DefaultPrompts,
    ) -> Result<Self, Error> {
        let config = ProcessorConfig {
            image_seq_len: image_seq_len.unwrap_or(DEFAULT_IMAGE_SEQ_LEN),
            image,
            video,
            chat_template: templates.default,
            named_chat_templates: templates.named,
            default_prompts,
        };
        config.validate()?;
        Ok(config)
    }

    /// Serializes the configuration to `processor_config.json`, with all sections and chat templates. Parsing it gives
    /// an equal value.
    pub fn to_json(&self) -> String {
        let mut value = json!({
            "processor_class": "SmolVLMProcessor",
            "image_seq_len": self.image_seq_len,
            "image_processor": self.image.to_value(),
            "video_processor": self.video.to_value(),
        });
        let templates = Templates { default: self.chat_template.clone(), named: self.named_chat_templates.clone() };
        if let Value::Object(map) = &mut value {
            map.extend(templates.into_value().map(|templates| ("chat_template".to_owned(), templates)));
            map.extend(self.default_prompts.to_value().map(|prompts| ("default_prompts".to_owned(), prompts)));
        }
        format!("{value:#}\n")
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for no image tokens, and the errors of the image and video parts.
    pub fn validate(&self) -> Result<(), Error> {
        at_least_one(&[("image_seq_len", self.image_seq_len)])?;
        self.image.validate()?;
        self.video.validate()
    }
}

/// Reads an object from a file of the directory; `None` if the file does not exist.
fn read_file<T>(
    dir: &Path,
    name: &str,
    convert: impl FnOnce(&Node<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let path = dir.join(name);
    let Some(text) = text_file::read_optional(&path)? else {
        return Ok(None);
    };
    let result = json::parse(&text, name).and_then(|value| convert(&Node::root(&value, name)?));
    text_file::in_file(&path, result).map(Some)
}
