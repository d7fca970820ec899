//! Replacement of checkpoint folders.

use crate::Error;
use crate::checkpoint_files::CONFIG;
use smolvlm_checkpoint::Error as CheckpointError;
use smolvlm_files::DraftFolder;
use std::fs;
use std::io;
use std::path::Path;

/// Writes a checkpoint to a temporary folder with `fill`, then moves its files to `folder`, the file `last` at the end.
/// Files there for which `is_old` is true are replaced or deleted, others are kept. If `fill` fails, the folder is
/// unchanged, or missing if it did not exist.
pub(crate) fn replace(
    folder: &Path,
    last: &str,
    is_old: impl Fn(&Path) -> bool,
    fill: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    let replaced = replace_files(folder, last, is_old, fill);
    if replaced.is_err() {
        // Only empty folders are deleted, innermost first.
        let _ = missing.iter().try_for_each(fs::remove_dir);
    }
    replaced
}

fn replace_files(
    folder: &Path,
    last: &str,
    is_old: impl Fn(&Path) -> bool,
    fill: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |source| Error::Write { path: folder.into(), source };
    if is_other_project(folder) {
        let message = "its config.json is not a model configuration; choose another folder";
        return Err(failed(io::Error::other(message)));
    }
    let draft = DraftFolder::new(folder).map_err(failed)?;
    fill(draft.path()).map_err(|error| in_folder(error, draft.path(), folder))?;
    discard_conflicting_files(draft.path(), folder, &is_old).map_err(failed)?;
    draft.commit(last, is_old).map_err(failed)
}

/// Deletes the files of the temporary folder that would overwrite files of `folder` to keep.
fn discard_conflicting_files(scratch: &Path, folder: &Path, is_old: impl Fn(&Path) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(scratch)? {
        let name = entry?.file_name();
        let taken = folder.join(&name);
        if taken.exists() && !is_old(&taken) {
            fs::remove_file(scratch.join(&name))?;
        }
    }
    Ok(())
}

/// Whether a folder has a `config.json` that is not a model configuration.
fn is_other_project(folder: &Path) -> bool {
    fs::read_to_string(folder.join(CONFIG)).is_ok_and(|text| !text.is_empty() && !text.contains("\"model_type\""))
}

/// Replaces the temporary path in an error by the final one.
fn in_folder(mut error: Error, scratch: &Path, folder: &Path) -> Error {
    if let Error::Write { path, .. }
    | Error::Checkpoint(CheckpointError::Io { path, .. } | CheckpointError::Gguf { path, .. }) = &mut error
        && let Ok(name) = path.strip_prefix(scratch)
    {
        *path = folder.join(name);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::{CheckpointError, replace};
    use crate::Error;
    use crate::checkpoint_files::{WEIGHTS, is_checkpoint_file};
    use std::fs;

    #[test]
    fn failed_write_leaves_the_folder_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("model.safetensors"), "old").unwrap();
        let failure = replace(folder.path(), WEIGHTS, is_checkpoint_file, |scratch| {
            fs::write(scratch.join("model.safetensors"), "half").unwrap();
            Err(Error::Write { path: scratch.join("config.json"), source: std::io::ErrorKind::StorageFull.into() })
        });
        assert!(failure.unwrap_err().to_string().starts_with(&at("config.json").display().to_string()));
        assert_eq!(fs::read_to_string(at("model.safetensors")).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn failed_write_leaves_no_new_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new/folder");
        for gguf in [false, true] {
            let failure = replace(&folder, WEIGHTS, is_checkpoint_file, |scratch| {
                let path = scratch.join(WEIGHTS);
                Err(Error::Checkpoint(match gguf {
                    true => CheckpointError::Gguf { path, message: "unsupported".into() },
                    false => CheckpointError::Io { path, source: std::io::ErrorKind::StorageFull.into() },
                }))
            });
            let message = failure.unwrap_err().to_string();
            assert!(message.starts_with(&folder.join(WEIGHTS).display().to_string()), "{message}");
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn folder_of_another_project_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), r#"{"port": 80}"#).unwrap();
        let failure = replace(folder.path(), WEIGHTS, is_checkpoint_file, |_| Ok(())).unwrap_err().to_string();
        assert!(failure.contains("not a model configuration"), "{failure}");
    }
}
