//! Configuration of the text decoder.

use serde_json::{Value, json};

use crate::{
    Error, HiddenAct, RopeParameters,
    check::{at_least_one, at_most, fraction, non_negative},
    json::{COUNT, FLAG, NUMBER, Node, SPECIAL_TOKEN, SPECIAL_TOKENS, TEXT},
};

/// Maximum head dimension; existing models have at most a few hundred.
const MAX_HEAD_DIM: usize = 1 << 16;

/// Maximum number of positions; existing models have at most ten million.
const MAX_POSITIONS: usize = 1 << 24;

/// Configuration of the text decoder, which has the Llama architecture.
///
/// `Default` has the class defaults of transformers 5.24.0 (`LlamaConfig`).
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Vocabulary size: number of rows of the embedding and output matrices.
    pub vocab_size: usize,
    /// Hidden size.
    pub hidden_size: usize,
    /// Hidden size of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Head dimension; `hidden_size / num_attention_heads` if the file does not specify it.
    pub head_dim: usize,
    /// Activation function of the feed-forward gate.
    pub hidden_act: HiddenAct,
    /// Trained context length. Longer sequences are possible.
    pub max_position_embeddings: usize,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    /// Epsilon of every RMS norm. Defaults to 1e-6 if the file has a `text_config`, otherwise to 1e-5.
    pub rms_norm_eps: f64,
    /// Whether a forward pass uses the key-value cache by default.
    pub use_cache: bool,
    /// Padding token for the shorter rows of a batch.
    pub pad_token_id: Option<u32>,
    /// Token that starts a text.
    pub bos_token_id: Option<u32>,
    /// End tokens, used if there is no generation configuration.
    pub eos_token_ids: Vec<u32>,
    /// Whether the attention projections have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward projections have biases.
    pub mlp_bias: bool,
    /// Dropout on attention weights during training; not used here.
    pub attention_dropout: f64,
    /// Rotary position embedding.
    pub rope: RopeParameters,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig {
            vocab_size: 32_000,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 32,
            head_dim: 128,
            hidden_act: HiddenAct::Silu,
            max_position_embeddings: 2048,
            initializer_range: 0.02,
            rms_norm_eps: 1e-6,
            use_cache: true,
            pad_token_id: None,
            bos_token_id: Some(1),
            eos_token_ids: vec![2],
            attention_bias: false,
            mlp_bias: false,
            attention_dropout: 0.0,
            rope: RopeParameters::default(),
        }
    }
}

impl TextConfig {
    /// The configuration of a model whose file has no `text_config`.
    pub(crate) fn of_missing_section() -> Self {
        TextConfig { rms_norm_eps: 1e-5, ..TextConfig::default() }
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        if let Some(kind) = node.get("model_type", TEXT)?.filter(|kind| kind != "llama") {
            return Err(Error::unsupported(node.key("model_type"), &kind, "llama"));
        }
        let default = TextConfig::default();
        let hidden_size = node.get("hidden_size", COUNT)?.unwrap_or(default.hidden_size);
        let num_attention_heads = node.get("num_attention_heads", COUNT)?.unwrap_or(default.num_attention_heads);
        let max_position_embeddings =
            node.get("max_position_embeddings", COUNT)?.unwrap_or(default.max_position_embeddings);
        Ok(TextConfig {
            vocab_size: node.get("vocab_size", COUNT)?.unwrap_or(default.vocab_size),
            hidden_size,
            intermediate_size: node.get("intermediate_size", COUNT)?.unwrap_or(default.intermediate_size),
            num_hidden_layers: node.get("num_hidden_layers", COUNT)?.unwrap_or(default.num_hidden_layers),
            num_attention_heads,
            num_key_value_heads: node.nullable("num_key_value_heads", COUNT)?.unwrap_or(num_attention_heads),
            head_dim: match node.nullable("head_dim", COUNT)? {
                Some(head_dim) => head_dim,
                // A head count of zero is reported by `validate`.
                None => hidden_size.checked_div(num_attention_heads).unwrap_or(0),
            },
            hidden_act: match node.get("hidden_act", TEXT)? {
                Some(name) => HiddenAct::from_name(&name, &node.key("hidden_act"))?,
                None => default.hidden_act,
            },
            max_position_embeddings,
            initializer_range: node.get("initializer_range", NUMBER)?.unwrap_or(default.initializer_range),
            rms_norm_eps: node.get("rms_norm_eps", NUMBER)?.unwrap_or(default.rms_norm_eps),
            use_cache: node.get("use_cache", FLAG)?.unwrap_or(default.use_cache),
            pad_token_id: node.nullable("pad_token_id", SPECIAL_TOKEN)?.flatten(),
            bos_token_id: match node.value("bos_token_id") {
                None => default.bos_token_id,
                Some(_) => node.nullable("bos_token_id", SPECIAL_TOKEN)?.flatten(),
            },
            eos_token_ids: match node.value("eos_token_id") {
                None => default.eos_token_ids,
                Some(_) => node.nullable("eos_token_id", SPECIAL_TOKENS)?.unwrap_or_default(),
            },
            attention_bias: node.get("attention_bias", FLAG)?.unwrap_or(default.attention_bias),
            mlp_bias: node.get("mlp_bias", FLAG)?.unwrap_or(default.mlp_bias),
            attention_dropout: node.nullable("attention_dropout", NUMBER)?.unwrap_or(default.attention_dropout),
            rope: RopeParameters::read(node, max_position_embeddings)?,
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        json!({
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": self.hidden_act.name(),
            "max_position_embeddings": self.max_position_embeddings,
            "initializer_range": self.initializer_range,
            "rms_norm_eps": self.rms_norm_eps,
            "use_cache": self.use_cache,
            "pad_token_id": self.pad_token_id,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": tokens_value(&self.eos_token_ids),
            "attention_bias": self.attention_bias,
            "mlp_bias": self.mlp_bias,
            "attention_dropout": self.attention_dropout,
            "rope_parameters": self.rope.to_value(),
        })
    }

    /// Validates the consistency of the values.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a size that is zero or too large, a hidden size not divisible by the number of heads, a
    /// number of heads not divisible by that of key and value heads, or an odd head dimension.
    pub fn validate(&self) -> Result<(), Error> {
        at_least_one(&[
            ("text_config.vocab_size", self.vocab_size),
            ("text_config.hidden_size", self.hidden_size),
            ("text_config.intermediate_size", self.intermediate_size),
            ("text_config.num_hidden_layers", self.num_hidden_layers),
            ("text_config.num_attention_heads", self.num_attention_heads),
            ("text_config.num_key_value_heads", self.num_key_value_heads),
            ("text_config.max_position_embeddings", self.max_position_embeddings),
        ])?;
        non_negative("text_config.rms_norm_eps", self.rms_norm_eps)?;
        fraction("text_config.initializer_range", self.initializer_range)?;
        fraction("text_config.attention_dropout", self.attention_dropout)?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::invalid(
                "text_config.hidden_size",
                format!("{} is not a multiple of the {} attention heads", self.hidden_size, self.num_attention_heads),
            ));
        }
        at_least_one(&[("text_config.head_dim", self.head_dim)])?;
        at_most("text_config.head_dim", self.head_dim, MAX_HEAD_DIM)?;
        at_most("text_config.max_position_embeddings", self.max_position_embeddings, MAX_POSITIONS)?;
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(Error::invalid(
                "text_config.num_key_value_heads",
                format!(
                    "{} does not divide the {} attention heads",
                    self.num_key_value_heads, self.num_attention_heads
                ),
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::invalid(
                "text_config.head_dim",
                format!("{} is odd; rotary embedding requires an even head dimension", self.head_dim),
            ));
        }
        self.rope.validate()
    }
}

/// The JSON value of token ids: null, one id, or a list.
pub(crate) fn tokens_value(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [id] => json!(id),
        ids => json!(ids),
    }
}
