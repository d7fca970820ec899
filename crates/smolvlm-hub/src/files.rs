//! The files of a checkpoint.

use super::HubError;
use super::names::is_component;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Files that every checkpoint has, besides the weights.
const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
/// Files to fetch if the repository has them.
const OPTIONAL: [&str; 10] = [
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
];
/// Configuration of a PEFT adapter.
const ADAPTER_CONFIG: &str = "adapter_config.json";
/// Weights of a PEFT adapter.
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
/// Folder of named chat templates.
const TEMPLATES: &str = "chat_templates/";
/// Unsharded weights.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// Index of sharded weights.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Maximum size of an index in bytes; more is not read.
const MAX_INDEX: u64 = 16 << 20;

/// Whether to fetch a file that does not hold weights.
pub(super) fn is_wanted(name: &str) -> bool {
    let template = |name: &str| is_component(name) && name.ends_with(".jinja");
    REQUIRED.contains(&name) || OPTIONAL.contains(&name) || name.strip_prefix(TEMPLATES).is_some_and(template)
}

/// Whether a file may be part of a checkpoint, weights included.
pub(super) fn is_fetched(name: &str) -> bool {
    is_wanted(name) || name == INDEX || is_weights(name)
}

/// Whether a file name is valid for weights or a shard of them.
fn is_weights(name: &str) -> bool {
    is_component(name) && name.ends_with(".safetensors")
}

/// The first file that is missing from a folder for it to be a complete checkpoint or adapter, if any.
pub(super) fn missing(folder: &Path) -> Option<String> {
    // `is_file` follows symlinks: a dangling one counts as missing.
    let has = |name: &str| folder.join(name).is_file();
    // The configuration of an adapter names its base model.
    if has(ADAPTER_CONFIG) && !has("config.json") {
        return (!has(ADAPTER_WEIGHTS)).then(|| ADAPTER_WEIGHTS.to_owned());
    }
    if let Some(name) = REQUIRED.into_iter().find(|name| !has(name)) {
        return Some(name.to_owned());
    }
    if has(WEIGHTS) {
        return None;
    }
    match shards(&folder.join(INDEX)) {
        Ok(shards) => shards.into_iter().find(|name| !folder.join(name).is_file()),
        Err(_) => Some(WEIGHTS.to_owned()),
    }
}

/// The shards that an index lists.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>, HubError> {
    let mut text = Vec::new();
    let file = File::open(index).map_err(HubError::io(index))?;
    file.take(MAX_INDEX).read_to_end(&mut text).map_err(HubError::io(index))?;
    let invalid = |message: &str| HubError::Response { url: index.display().to_string(), message: message.to_owned() };
    let json: Value = serde_json::from_slice(&text).map_err(|_| invalid("not valid JSON"))?;
    let map = json.get("weight_map").and_then(Value::as_object).ok_or_else(|| invalid("it has no weight_map"))?;
    let name = |value: &Value| {
        let name = value.as_str().filter(|name| is_weights(name));
        name.map(str::to_owned).ok_or_else(|| invalid("its weight_map names a file that is not .safetensors"))
    };
    let shards: BTreeSet<String> = map.values().map(name).collect::<Result<_, _>>()?;
    if shards.is_empty() { Err(invalid("its weight_map is empty")) } else { Ok(shards) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_a_checkpoint_are_wanted() {
        for wanted in ["config.json", "tokenizer.json", "chat_template.jinja", "chat_templates/rag.jinja"] {
            assert!(is_wanted(wanted), "{wanted}");
        }
        for other in [
            "README.md",
            ".gitattributes",
            "onnx/config.json",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "vocab.json",
            "chat_templates/../../x.jinja",
            "chat_templates/a/b.jinja",
            "chat_templates/x.txt",
            "../config.json",
        ] {
            assert!(!is_wanted(other), "{other}");
        }
    }

    #[test]
    fn indexes_with_invalid_file_names_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(INDEX);
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            shards(&path).map(|shards| shards.into_iter().collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        let good = r#"{"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "a.safetensors"}}"#;
        assert_eq!(read(good).unwrap(), ["a.safetensors", "b.safetensors"]);
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"weight_map": {}}"#,
            r#"{"weight_map": {"x": 1}}"#,
            r#"{"weight_map": {"x": "a.bin"}}"#,
            r#"{"weight_map": {"x": "../a.safetensors"}}"#,
            r#"{"weight_map": {"x": "/a.safetensors"}}"#,
        ] {
            assert!(read(bad).unwrap_err().contains(INDEX), "{bad}");
        }
    }

    #[test]
    fn missing_returns_the_first_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let missing = || missing(folder.path());
        assert_eq!(missing().as_deref(), Some("config.json"));
        write("config.json", "{}");
        assert_eq!(missing().as_deref(), Some("tokenizer.json"));
        write("tokenizer.json", "{}");
        assert_eq!(missing().as_deref(), Some(WEIGHTS));
        write(INDEX, r#"{"weight_map": {"x": "1.safetensors", "y": "2.safetensors"}}"#);
        write("1.safetensors", "");
        assert_eq!(missing().as_deref(), Some("2.safetensors"));
        write("2.safetensors", "");
        assert_eq!(missing(), None);
    }

    #[test]
    fn an_adapter_without_a_base_model_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(ADAPTER_CONFIG), "{}").unwrap();
        assert_eq!(missing(folder.path()).as_deref(), Some(ADAPTER_WEIGHTS));
        std::fs::write(folder.path().join(ADAPTER_WEIGHTS), "").unwrap();
        assert_eq!(missing(folder.path()), None);
    }
}
