//! Configuration of the vision encoder.

use serde_json::{Value, json};

use crate::{
    Error, HiddenAct,
    check::{MAX_TILE_EDGE, at_least_one, at_most, fraction, non_negative},
    json::{COUNT, NUMBER, Node, TEXT},
};

/// Configuration of the vision encoder.
///
/// `Default` has the class defaults of transformers 5.24.0 (`SmolVLMVisionConfig`). Released files depend on them:
/// those of the 256M and 500M models omit the number of layers, intermediate size, activation, epsilon and channels.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionConfig {
    /// Hidden size.
    pub hidden_size: usize,
    /// Hidden size of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of encoder layers.
    pub num_hidden_layers: usize,
    /// Number of attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Number of color channels.
    pub num_channels: usize,
    /// Edge of a tile in pixels.
    pub image_size: usize,
    /// Edge of a patch in pixels.
    pub patch_size: usize,
    /// Activation function of the feed-forward layer.
    pub hidden_act: HiddenAct,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
    /// Dropout on attention weights during training; not used here.
    pub attention_dropout: f64,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        VisionConfig {
            hidden_size: 1152,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 16,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: HiddenAct::GeluTanh,
            layer_norm_eps: 1e-6,
            attention_dropout: 0.0,
            initializer_range: 0.02,
        }
    }
}

impl VisionConfig {
    /// Head dimension; 0 without heads.
    pub fn head_dim(&self) -> usize {
        self.hidden_size.checked_div(self.num_attention_heads).unwrap_or(0)
    }

    /// Number of patches per tile edge (`image_size / patch_size`, rounded down); 0 for a patch size of 0.
    pub fn grid(&self) -> usize {
        self.image_size.checked_div(self.patch_size).unwrap_or(0)
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        let default = VisionConfig::default();
        Ok(VisionConfig {
            hidden_size: node.get("hidden_size", COUNT)?.unwrap_or(default.hidden_size),
            intermediate_size: node.get("intermediate_size", COUNT)?.unwrap_or(default.intermediate_size),
            num_hidden_layers: node.get("num_hidden_layers", COUNT)?.unwrap_or(default.num_hidden_layers),
            num_attention_heads: node.get("num_attention_heads", COUNT)?.unwrap_or(default.num_attention_heads),
            num_channels: node.get("num_channels", COUNT)?.unwrap_or(default.num_channels),
            image_size: node.get("image_size", COUNT)?.unwrap_or(default.image_size),
            patch_size: node.get("patch_size", COUNT)?.unwrap_or(default.patch_size),
            hidden_act: match node.get("hidden_act", TEXT)? {
                Some(name) => HiddenAct::from_name(&name, &node.key("hidden_act"))?,
                None => default.hidden_act,
            },
            layer_norm_eps: node.get("layer_norm_eps", NUMBER)?.unwrap_or(default.layer_norm_eps),
            attention_dropout: node.get("attention_dropout", NUMBER)?.unwrap_or(default.attention_dropout),
            initializer_range: node.get("initializer_range", NUMBER)?.unwrap_or(default.initializer_range),
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        json!({
            "model_type": "smolvlm_vision",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_channels": self.num_channels,
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "hidden_act": self.hidden_act.name(),
            "layer_norm_eps": self.layer_norm_eps,
            "attention_dropout": self.attention_dropout,
            "initializer_range": self.initializer_range,
        })
    }

    /// Validates the consistency of the values.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a size that is zero or too large, a hidden size not divisible by the number of heads, or
    /// a tile smaller than a patch.
    pub fn validate(&self) -> Result<(), Error> {
        at_least_one(&[
            ("vision_config.hidden_size", self.hidden_size),
            ("vision_config.intermediate_size", self.intermediate_size),
            ("vision_config.num_hidden_layers", self.num_hidden_layers),
            ("vision_config.num_attention_heads", self.num_attention_heads),
            ("vision_config.num_channels", self.num_channels),
            ("vision_config.image_size", self.image_size),
            ("vision_config.patch_size", self.patch_size),
        ])?;
        at_most("vision_config.image_size", self.image_size, MAX_TILE_EDGE)?;
        non_negative("vision_config.layer_norm_eps", self.layer_norm_eps)?;
        fraction("vision_config.attention_dropout", self.attention_dropout)?;
        non_negative("vision_config.initializer_range", self.initializer_range)?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::invalid(
                "vision_config.hidden_size",
                format!("{} is not a multiple of the {} attention heads", self.hidden_size, self.num_attention_heads),
            ));
        }
        if self.grid() == 0 {
            return Err(Error::invalid(
                "vision_config.image_size",
                format!("{} is smaller than a patch of {}", self.image_size, self.patch_size),
            ));
        }
        Ok(())
    }
}
