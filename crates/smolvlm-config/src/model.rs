//! Configuration of a model: `config.json`.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    Error, FloatType, GenerationConfig, TextConfig, VisionConfig,
    check::{MAX_SIZE, at_least_one, at_most},
    json::{self, COUNT, FLAG, Node, SPECIAL_TOKEN, TEXT, TOKEN},
    parameters, text_file,
};

/// Maximum number of layers of an encoder or decoder; existing models have at most a few hundred.
const MAX_LAYERS: usize = 4096;

/// Maximum number of parameters, which excludes overflow in products of sizes.
const MAX_PARAMETERS: u128 = 1 << 40;

/// Configuration of a SmolVLM model, as in `config.json`.
///
/// `Default` has the class defaults of transformers 5.24.0 (`SmolVLMConfig`). They are inconsistent (pixel shuffle by 2
/// is impossible on a grid of 7 patches), so [`ModelConfig::validate`] rejects them until sizes are set.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Placeholder token whose embeddings are replaced by image features, or [`ModelConfig::NO_IMAGE_TOKEN`].
    pub image_token_id: u32,
    /// Pixel shuffle factor of the connector: edge, in patches, of the square that becomes one token.
    pub scale_factor: usize,
    /// Whether the output matrix shares the weights of the embedding.
    pub tie_word_embeddings: bool,
    /// Whether a forward pass uses the key-value cache by default.
    pub use_cache: bool,
    /// A legacy key that the model does not use; see [`TextConfig::pad_token_id`].
    pub pad_token_id: Option<u32>,
    /// Data type of the stored weights.
    pub dtype: Option<FloatType>,
    /// The vision encoder.
    pub vision: VisionConfig,
    /// The text decoder.
    pub text: TextConfig,
    /// Generation parameters: those of `config.json`, until the caller replaces them by those of
    /// `generation_config.json`.
    pub generation: GenerationConfig,
}

impl Default for ModelConfig {
    fn default() -> Self {
        let text = TextConfig::of_missing_section();
        ModelConfig {
            image_token_id: 128_257,
            scale_factor: 2,
            tie_word_embeddings: false,
            use_cache: true,
            pad_token_id: Some(128_002),
            dtype: None,
            vision: VisionConfig::default(),
            generation: GenerationConfig::of_text(true, &text),
            text,
        }
    }
}

impl ModelConfig {
    /// The value of `image_token_id` in a text model whose vocabulary has no such token.
    pub const NO_IMAGE_TOKEN: u32 = u32::MAX;

    /// Parses and validates the text of a `config.json` of SmolVLM or its predecessor (`idefics3`), with the key names
    /// of transformers 4 or 5. Unknown keys are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] if the text is not JSON, [`Error::Type`] and [`Error::Unsupported`] with the key path of an
    /// invalid value, and the errors of [`ModelConfig::validate`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = json::parse(text, "model configuration")?;
        let config = Self::read(&Node::root(&value, "model configuration")?)?;
        config.validate()?;
        Ok(config)
    }

    /// Reads `config.json` of a checkpoint directory.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::TooLarge`] for the file, and those of [`ModelConfig::from_json`] wrapped in
    /// [`Error::InFile`].
    pub fn from_directory(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("config.json");
        text_file::in_file(&path, Self::from_json(&text_file::read(&path)?))
    }

    fn read(node: &Node<'_>) -> Result<Self, Error> {
        if let Some(kind) = node.get("model_type", TEXT)?.filter(|kind| kind != "smolvlm" && kind != "idefics3") {
            return Err(Error::unsupported(node.key("model_type"), &kind, "smolvlm, idefics3"));
        }
        let default = ModelConfig::default();
        let vision = match node.object("vision_config")? {
            Some(vision) => VisionConfig::read(&vision)?,
            None => default.vision,
        };
        let text_node = node.object("text_config")?;
        let text = match &text_node {
            Some(text) => TextConfig::read(text)?,
            None => default.text,
        };
        let use_cache = node.get("use_cache", FLAG)?.unwrap_or(default.use_cache);
        let mut generation = GenerationConfig::read(node)?;
        // The top-level padding id is the legacy key, see the field.
        generation.pad_token_id = None;
        generation.use_cache = Some(use_cache);
        if let Some(text) = &text_node {
            generation = generation.or(GenerationConfig::read(text)?);
        }
        // transformers 5 saves it under the private name, which takes precedence.
        let pad_key = ["_pad_token_id", "pad_token_id"].into_iter().find(|key| node.value(key).is_some());
        let dtype_key =
            ["dtype", "torch_dtype"].into_iter().find(|key| node.value(key).is_some_and(|value| !value.is_null()));
        Ok(ModelConfig {
            image_token_id: node.get("image_token_id", TOKEN)?.unwrap_or(default.image_token_id),
            scale_factor: node.get("scale_factor", COUNT)?.unwrap_or(default.scale_factor),
            tie_word_embeddings: node.get("tie_word_embeddings", FLAG)?.unwrap_or(default.tie_word_embeddings),
            use_cache,
            pad_token_id: match pad_key {
                Some(key) => node.nullable(key, SPECIAL_TOKEN)?.flatten(),
                None => default.pad_token_id,
            },
            dtype: match dtype_key {
                Some(key) => match node.get(key, TEXT)? {
                    Some(name) => Some(FloatType::from_name(&name, &node.key(key))?),
                    None => None,
                },
                None => default.dtype,
            },
            vision,
            generation: generation.or(GenerationConfig::of_text(use_cache, &text)),
            text,
        })
    }

    /// Serializes the configuration to `config.json` with the key names of transformers 5.24. Parsing it gives an equal
    /// value for every configuration that was read from a file.
    pub fn to_json(&self) -> String {
        let mut value = json!({
            "architectures": ["SmolVLMForConditionalGeneration"],
            "model_type": "smolvlm",
            "image_token_id": self.image_token_id,
            "scale_factor": self.scale_factor,
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_cache": self.use_cache,
            "_pad_token_id": self.pad_token_id,
            "dtype": self.dtype.map(FloatType::name),
            "vision_config": self.vision.to_value(),
            "text_config": self.text.to_value(),
        });
        if let Value::Object(map) = &mut value {
            for (key, value) in self.generation.to_map() {
                if key != "pad_token_id" {
                    map.entry(key).or_insert(value);
                }
            }
        }
        format!("{value:#}\n")
    }

    /// Number of image tokens per tile: `(image_size / patch_size)^2 / scale_factor^2`, rounded down. 0 for some
    /// configurations that [`ModelConfig::validate`] rejects.
    pub fn image_seq_len(&self) -> usize {
        let patches = self.vision.grid().saturating_pow(2);
        patches.checked_div(self.scale_factor.saturating_pow(2)).unwrap_or(0)
    }

    /// Number of parameters in a checkpoint of this model. Saturates instead of overflowing.
    pub fn parameter_count(&self) -> usize {
        usize::try_from(parameters::count(self)).unwrap_or(usize::MAX)
    }

    /// Validates the consistency of the values, as [`ModelConfig::from_json`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for sizes that are zero, not divisible where they must be, or too large.
    pub fn validate(&self) -> Result<(), Error> {
        self.vision.validate()?;
        self.text.validate()?;
        at_least_one(&[("scale_factor", self.scale_factor)])?;
        let grid = self.vision.grid();
        if !grid.is_multiple_of(self.scale_factor) {
            return Err(Error::invalid(
                "scale_factor",
                format!(
                    "{} does not divide the {grid} patches along a tile ({} / {} pixels)",
                    self.scale_factor, self.vision.image_size, self.vision.patch_size
                ),
            ));
        }
        if self.image_token_id as usize >= self.text.vocab_size && self.image_token_id != Self::NO_IMAGE_TOKEN {
            return Err(Error::invalid(
                "image_token_id",
                format!("{} is outside the vocabulary of {} tokens", self.image_token_id, self.text.vocab_size),
            ));
        }
        for (what, layers) in [
            ("vision_config.num_hidden_layers", self.vision.num_hidden_layers),
            ("text_config.num_hidden_layers", self.text.num_hidden_layers),
        ] {
            at_most(what, layers, MAX_LAYERS)?;
        }
        let heads = self.text.num_attention_heads.checked_mul(self.text.head_dim);
        let folded = self.scale_factor.checked_pow(2).and_then(|s| s.checked_mul(self.vision.hidden_size));
        for (what, width) in [
            ("text_config.num_attention_heads x head_dim", heads),
            ("vision_config.hidden_size x scale_factor^2", folded),
        ] {
            if width.is_none_or(|width| width > MAX_SIZE) {
                return Err(Error::invalid(what, format!("must be at most {MAX_SIZE}")));
            }
        }
        let count = parameters::count(self);
        if count > MAX_PARAMETERS {
            return Err(Error::invalid(
                "model configuration",
                format!("describes {count} parameters, at most {MAX_PARAMETERS} are possible"),
            ));
        }
        Ok(())
    }
}
