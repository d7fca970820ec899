//! The error of a folder that contains no complete checkpoint or does not exist.

use crate::Error;
use crate::checkpoint_files::{MODEL, PROCESSOR, has_files};
use crate::spelling::subfolders;
use std::path::{Path, PathBuf};

/// Checks that a folder contains at least one file of each group.
pub(crate) fn check(folder: &Path, groups: &[&[&str]]) -> Result<(), Error> {
    let has = |name: &str| folder.join(name).is_file();
    let missing_of = |groups: &[&[&str]]| -> Vec<String> {
        groups.iter().filter(|group| !group.iter().any(|name| has(name))).map(|group| group.join(" or ")).collect()
    };
    let mut missing = missing_of(groups);
    if missing.is_empty() {
        return Ok(());
    }
    let missing_of_model = missing_of(MODEL);
    let advice = if !folder.is_dir() {
        "; folder not found".to_owned()
    } else if let Some(nested) = nested_checkpoint(folder) {
        format!("; did you mean {}?", nested.display())
    } else if missing_of_model.is_empty() {
        "; if the model was saved without its processor, copy these files from the checkpoint that it was trained from"
            .to_owned()
    } else {
        String::new()
    };
    missing
        .extend(missing_of_model.into_iter().filter(|name| !groups.iter().any(|group| group.contains(&name.as_str()))));
    Err(Error::Incomplete { folder: folder.to_owned(), missing: missing.join(", "), advice })
}

/// The last subfolder, by name, with a complete checkpoint: the layout in which training runs save them.
fn nested_checkpoint(folder: &Path) -> Option<PathBuf> {
    let is_complete = |folder: &PathBuf| has_files(folder, MODEL) && has_files(folder, PROCESSOR);
    subfolders(folder).filter(is_complete).max_by_key(|path| (path.as_os_str().len(), path.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn missing_files_are_named() {
        let root = tempfile::tempdir().unwrap();
        let error = |folder: &Path, groups| check(folder, groups).unwrap_err().to_string();
        let both = error(root.path(), PROCESSOR);
        assert!(
            both.contains("tokenizer.json, preprocessor_config.json or processor_config.json, config.json"),
            "{both}"
        );
        assert!(error(&root.path().join("none"), MODEL).contains("folder not found"));

        fs::write(root.path().join("config.json"), "{}").unwrap();
        let trained = error(root.path(), PROCESSOR);
        assert!(trained.contains("copy these files") && !trained.contains(" config.json"), "{trained}");
        check(root.path(), MODEL).unwrap();

        for step in ["checkpoint-90", "checkpoint-100"] {
            let folder = root.path().join(step);
            fs::create_dir_all(&folder).unwrap();
            for name in ["config.json", "tokenizer.json", "processor_config.json"] {
                fs::write(folder.join(name), "{}").unwrap();
            }
            check(&folder, PROCESSOR).unwrap();
        }
        assert!(error(root.path(), PROCESSOR).contains("checkpoint-100?"));
    }
}
