//! Default prompts of a checkpoint.

use serde_json::{Map, Value};

use crate::{
    Error,
    json::{Node, TEXT},
};

/// Default prompts about media if the user asks no question, for checkpoints trained on specific questions. Stored as
/// the optional object `default_prompts` of `processor_config.json`, which transformers ignores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DefaultPrompts {
    /// Prompt for one image.
    pub image: Option<String>,
    /// Prompt for several images.
    pub images: Option<String>,
    /// Prompt for videos.
    pub video: Option<String>,
}

impl DefaultPrompts {
    /// Reads the key of a document.
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        let Some(prompts) = node.object("default_prompts")? else { return Ok(Self::default()) };
        Ok(Self {
            image: prompts.nullable("image", TEXT)?,
            images: prompts.nullable("images", TEXT)?,
            video: prompts.nullable("video", TEXT)?,
        })
    }

    /// The value of the key; none without prompts.
    pub(crate) fn to_value(&self) -> Option<Value> {
        let questions = [("image", &self.image), ("images", &self.images), ("video", &self.video)];
        let given = questions.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into())));
        let map: Map<String, Value> = given.collect();
        (!map.is_empty()).then_some(Value::Object(map))
    }
}
