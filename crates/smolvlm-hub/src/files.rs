//! Which files of a repository make a checkpoint.

use super::HubError;
use super::names::is_component;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Files without which nothing can be loaded; weights come on top.
const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
/// Files that are fetched if the repository has them.
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
/// Weights in one file.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// List of the files that weights are split over.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Longest list that is read, in bytes.
const MAX_INDEX: u64 = 16 << 20;

/// Whether a file is wanted besides the weights.
pub(super) fn is_wanted(name: &str) -> bool {
    let template = |name: &str| is_component(name) && name.ends_with(".jinja");
    REQUIRED.contains(&name) || OPTIONAL.contains(&name) || name.strip_prefix(TEMPLATES).is_some_and(template)
}

/// Whether a file may belong to a checkpoint.
pub(super) fn is_part(name: &str) -> bool {
    is_wanted(name) || name == INDEX || is_weights(name)
}

/// Whether a file can hold weights, or some of them.
fn is_weights(name: &str) -> bool {
    is_component(name) && name.ends_with(".safetensors")
}

/// The first file that a folder lacks to be a checkpoint or an adapter, if any.
pub(super) fn missing(folder: &Path) -> Option<String> {
    // A link whose target is gone does not exist.
    let has = |name: &str| folder.join(name).is_file();
    // An adapter alone names the checkpoint that it is for.
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

/// The files that weights are split over, from their list.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>, HubError> {
    let mut text = Vec::new();
    let file = File::open(index).map_err(HubError::io(index))?;
    file.take(MAX_INDEX).read_to_end(&mut text).map_err(HubError::io(index))?;
    let invalid = |message: &str| HubError::Response { url: index.display().to_string(), message: message.to_owned() };
    let json: Value = serde_json::from_slice(&text).map_err(|_| invalid("it is no JSON"))?;
    let map = json.get("weight_map").and_then(Value::as_object).ok_or_else(|| invalid("it has no weight_map"))?;
    let name = |value: &Value| {
        let name = value.as_str().filter(|name| is_weights(name));
        name.map(str::to_owned).ok_or_else(|| invalid("its weight_map names something that is no .safetensors file"))
    };
    let shards: BTreeSet<String> = map.values().map(name).collect::<Result<_, _>>()?;
    if shards.is_empty() { Err(invalid("its weight_map is empty")) } else { Ok(shards) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_checkpoint_needs() {
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
    fn lists_of_weights_name_plain_files() {
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
    fn names_the_missing_file() {
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
    fn an_adapter_alone_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(ADAPTER_CONFIG), "{}").unwrap();
        assert_eq!(missing(folder.path()).as_deref(), Some(ADAPTER_WEIGHTS));
        std::fs::write(folder.path().join(ADAPTER_WEIGHTS), "").unwrap();
        assert_eq!(missing(folder.path()), None);
    }
}
