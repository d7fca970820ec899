//! Configuration of a whole model: `config.json`.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    Error, FloatType, GenerationConfig, TextConfig, VisionConfig,
    check::{MAX_SIZE, at_least_one, at_most},
    json::{self, COUNT, FLAG, Node, SPECIAL_TOKEN, TEXT, TOKEN},
    parameters,
};

/// The most layers that a tower may have; real ones have at most a few hundred.
const MAX_LAYERS: usize = 4096;

/// The most parameters that a model may have. It keeps every product of sizes far away from overflow.
const MAX_PARAMETERS: u128 = 1 << 40;

/// Configuration of a SmolVLM model, as `config.json` holds it.
///
/// `Default` holds the class defaults of transformers 5.24.0 (`SmolVLMConfig`). They do not fit together (a grid of 7
/// patches cannot be shuffled by 2), so [`ModelConfig::validate`] refuses them until sizes are set.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Token whose positions are replaced by image features.
    pub image_token_id: u32,
    /// Patches along one side of the square that the connector folds into one token.
    pub scale_factor: usize,
    /// Whether the output matrix is the embedding matrix.
    pub tie_word_embeddings: bool,
    /// Whether a forward pass keeps keys and values unless told otherwise.
    pub use_cache: bool,
    /// A legacy key that no part of the model uses; [`TextConfig::pad_token_id`] is the one that counts.
    pub pad_token_id: Option<u32>,
    /// Type of the stored weights.
    pub dtype: Option<FloatType>,
    /// The vision encoder.
    pub vision: VisionConfig,
    /// The text decoder.
    pub text: TextConfig,
    /// Generation parameters: those found in `config.json`, until what read it puts those of `generation_config.json` here.
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
    /// Reads and checks the text of a `config.json`, of SmolVLM or of its predecessor (`idefics3`), in the spelling of
    /// transformers 4 or 5. Unknown keys are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] when the text is not JSON, [`Error::Type`] and [`Error::Unsupported`] with the key path of a
    /// value that cannot be read, and the errors of [`ModelConfig::validate`].
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
    /// [`Error::Read`] or [`Error::TooLarge`] for the file, and [`Error::InFile`] around those of
    /// [`ModelConfig::from_json`].
    pub fn from_directory(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("config.json");
        json::in_file(&path, Self::from_json(&json::read(&path)?))
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
        // Saved by transformers 5 under the private name, which wins when both are there.
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

    /// The `config.json` of this configuration, in the spelling of transformers 5.24. Reading it gives an equal value,
    /// for every configuration that came from a file.
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

    /// Image tokens of one tile: `(image_size / patch_size)^2 / scale_factor^2`, rounded down. 0 for a configuration
    /// that [`ModelConfig::validate`] refuses.
    pub fn image_seq_len(&self) -> usize {
        let patches = self.vision.grid().saturating_pow(2);
        patches.checked_div(self.scale_factor.saturating_pow(2)).unwrap_or(0)
    }

    /// Number of weights that a checkpoint of this model stores. Saturates instead of overflowing.
    pub fn parameter_count(&self) -> usize {
        usize::try_from(parameters::count(self)).unwrap_or(usize::MAX)
    }

    /// Checks the values against each other. [`ModelConfig::from_json`] has done so.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for sizes of zero, sizes that do not divide each other where they must, and sizes so large
    /// that no such model can exist.
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
        if self.image_token_id as usize >= self.text.vocab_size {
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
