//! Names of a checkpoint's files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

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
    use super::is_checkpoint_file;
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
}
