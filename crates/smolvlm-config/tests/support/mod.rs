//! A small configuration and variants of it.

use serde_json::{Value, json};
use smolvlm_config::{Error, ModelConfig, TextConfig};

/// A small valid configuration with `changes` merged into it, one level deep.
pub fn small(changes: Value) -> Value {
    let mut value = json!({
        "model_type": "smolvlm",
        "image_token_id": 7,
        "text_config": {
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 8
        },
        "vision_config": {
            "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 3,
            "image_size": 32, "patch_size": 8
        },
    });
    for (key, change) in changes.as_object().unwrap() {
        match (&mut value[key], change) {
            (Value::Object(section), Value::Object(change)) => section.extend(change.clone()),
            (slot, change) => *slot = change.clone(),
        }
    }
    value
}

pub fn read(changes: Value) -> Result<ModelConfig, Error> {
    ModelConfig::from_json(&small(changes).to_string())
}

pub fn text(changes: Value) -> Result<TextConfig, Error> {
    read(json!({"text_config": changes})).map(|config| config.text)
}
