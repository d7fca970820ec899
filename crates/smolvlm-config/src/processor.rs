//! Configuration of a whole processor, gathered from the files of a checkpoint directory.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use crate::{
    Error, ImageProcessorConfig, VideoProcessorConfig,
    json::{self, COUNT, Node},
    template,
};

/// Image tokens per tile when no file says.
const DEFAULT_IMAGE_SEQ_LEN: usize = 169;

/// What lies between a conversation and the inputs of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessorConfig {
    /// Image tokens per tile. Has to be [`crate::ModelConfig::image_seq_len`] of the model it is used with.
    pub image_seq_len: usize,
    /// How images become tiles.
    pub image: ImageProcessorConfig,
    /// How videos become frames.
    pub video: VideoProcessorConfig,
    /// The chat template, in the Jinja language.
    pub chat_template: Option<String>,
    /// Further chat templates by name.
    pub named_chat_templates: BTreeMap<String, String>,
}

impl Default for ProcessorConfig {
    fn default() -> Self {
        ProcessorConfig {
            image_seq_len: DEFAULT_IMAGE_SEQ_LEN,
            image: ImageProcessorConfig::default(),
            video: VideoProcessorConfig::default(),
            chat_template: None,
            named_chat_templates: BTreeMap::new(),
        }
    }
}

/// A JSON file of the directory, parsed.
struct Document {
    name: &'static str,
    value: Value,
}

impl ProcessorConfig {
    /// Gathers the configuration from a checkpoint directory. The first place that has a part wins
    /// (transformers 5.23.0, `processing_utils.py`):
    ///
    /// | part | places |
    /// |---|---|
    /// | `image` | `image_processor` in `processor_config.json`, `preprocessor_config.json` |
    /// | `video` | `video_processor` in `processor_config.json`, `video_preprocessor_config.json`, the place of `image` |
    /// | `chat_template` | `chat_template` in `processor_config.json`, `chat_template.json`, `chat_template.jinja` and `chat_templates/*.jinja` |
    /// | `image_seq_len` | `processor_config.json`, else 169 |
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::TooLarge`] for a file, also when neither place of `image` exists, and
    /// [`Error::InFile`] around what is wrong in one.
    pub fn from_directory(dir: &Path) -> Result<Self, Error> {
        let processor = Document::read(dir, "processor_config.json")?;
        let section = |key| -> Result<Option<Node<'_>>, Error> {
            match &processor {
                Some(document) => document.within(dir, |root| root.object(key)),
                None => Ok(None),
            }
        };
        let (image, video);
        let preprocessor;
        let image_section = section("image_processor")?;
        let video_section = section("video_processor")?;
        let video_file = match video_section {
            Some(_) => None,
            None => Document::read(dir, "video_preprocessor_config.json")?,
        };
        let fallback = match &image_section {
            Some(section) => Place {
                name: "processor_config.json",
                node: section,
            },
            None => todo_place(),
        };
        let _ = (image, video, preprocessor, video_file, fallback);
        unreachable!()
    }
}
