//! Names of a checkpoint's files.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The weights.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// The index of sharded weights.
pub(crate) const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

/// The model's configuration.
pub(crate) const CONFIG: &str = "config.json";

/// Files that a processor needs: one of each group of alternatives.
pub(crate) const PROCESSOR: &[&[&str]] = &[&["tokenizer.json"], &["preprocessor_config.json", "processor_config.json"]];

/// Files that a model needs besides its weights, in the same form.
pub(crate) const MODEL: &[&[&str]] = &[&[CONFIG]];

/// All files of a processor.
pub(crate) const PROCESSOR_FILES: [&str; 8] = [
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
];

/// Files of a checkpoint other than its weights and those of the processor: configurations, other formats of the
/// tokenizer, the state of training.
const OTHER_FILES: [&str; 12] = [
    CONFIG,
    "generation_config.json",
    "tokenizer.model",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "adapter_config.json",
    "trainer_state.json",
    "training_args.bin",
    "optimizer.safetensors",
    "optimizer.pt",
    "scheduler.pt",
];

/// Prefixes and suffixes of the names of weight files: single files, shards and shard indexes.
const WEIGHT_NAMES: (&[&str], &[&str]) = (
    &["model", "pytorch_model", "adapter_model"],
    &[".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json"],
);

/// Whether a file in a checkpoint's folder is part of the checkpoint, judged by its name: weights, configurations,
/// tokenizer files, and a `README.md` that is a model card.
pub fn is_checkpoint_file(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let (starts, ends) = WEIGHT_NAMES;
    let is_weights = starts.iter().any(|start| name.starts_with(start)) && ends.iter().any(|end| name.ends_with(end));
    is_weights
        || PROCESSOR_FILES.contains(&name)
        || OTHER_FILES.contains(&name)
        || (name == "README.md" && is_model_card(path))
}

/// The files of the checkpoint in a folder, sorted: those with [its names](is_checkpoint_file), and the shards that the
/// index of its weights lists.
pub(crate) fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let shards = shards(folder);
    let is_wanted = |path: &PathBuf| path.is_file() && (is_checkpoint_file(path) || shards.contains(path));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_wanted).collect();
    files.sort();
    files
}

/// The files that the index of a folder's weights lists.
fn shards(folder: &Path) -> BTreeSet<PathBuf> {
    let index: Option<Value> =
        fs::read(folder.join(WEIGHTS_INDEX)).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let tensors = index.as_ref().and_then(|index| index.get("weight_map")?.as_object());
    let names = tensors.into_iter().flat_map(|tensors| tensors.values()).filter_map(Value::as_str);
    names.map(|name| folder.join(name)).collect()
}

/// Whether a file starts with the YAML metadata of a model card.
fn is_model_card(path: &Path) -> bool {
    let mut start = [0; 3];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"---"
}

/// Whether a folder contains at least one file of each group.
pub(crate) fn has_files(folder: &Path, groups: &[&[&str]]) -> bool {
    groups.iter().all(|group| group.iter().any(|name| folder.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::{in_folder, is_checkpoint_file};
    use std::fs;
    use std::path::Path;

    #[test]
    fn checkpoint_files_are_recognized_by_name() {
        for name in
            ["config.json", "model.safetensors", "model-00001-of-00002.safetensors", "pytorch_model.bin.index.json"]
        {
            assert!(is_checkpoint_file(Path::new(name)), "{name}");
        }
        for name in ["notes.txt", "my.safetensors", "config.json.bak", "model.py", "README.md"] {
            assert!(!is_checkpoint_file(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn shards_are_those_of_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let index = r#"{"weight_map": {"a": "part-1.safetensors", "b": "missing.safetensors"}}"#;
        for (name, text) in [
            ("config.json", "{}"),
            ("model.safetensors.index.json", index),
            ("part-1.safetensors", ""),
            ("other.safetensors", ""),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let expected = ["config.json", "model.safetensors.index.json", "part-1.safetensors"];
        assert_eq!(in_folder(folder.path()), expected.map(|name| folder.path().join(name)));
    }
}
