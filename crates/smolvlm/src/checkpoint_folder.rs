//! Replacement of checkpoint folders.

use crate::Error;
use crate::checkpoint_files::{CONFIG, WEIGHTS, is_checkpoint_file};
use smolvlm_files::DraftFolder;
use std::fs;
use std::io;
use std::path::Path;

/// Writes a checkpoint to a temporary folder with `fill`, then moves its files to `folder`, replacing the checkpoint
/// there. Files that are not part of a checkpoint are kept. If `fill` fails, the folder is unchanged.
pub(crate) fn replace(folder: &Path, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    let failed = |source| Error::Write { path: folder.into(), source };
    if is_other_project(folder) {
        let message = "its config.json is not a model configuration; choose another folder";
        return Err(failed(io::Error::other(message)));
    }
    let draft = DraftFolder::new(folder).map_err(failed)?;
    fill(draft.path()).map_err(|error| in_folder(error, draft.path(), folder))?;
    discard_conflicting_files(draft.path(), folder).map_err(failed)?;
    draft.commit(WEIGHTS, is_checkpoint_file).map_err(failed)
}

/// Deletes the files of the temporary folder that would overwrite files of `folder` that are not part of a checkpoint.
fn discard_conflicting_files(scratch: &Path, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(scratch)? {
        let name = entry?.file_name();
        let taken = folder.join(&name);
        if taken.exists() && !is_checkpoint_file(&taken) {
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
fn in_folder(error: Error, scratch: &Path, folder: &Path) -> Error {
    match error {
        Error::Write { path, source } => {
            let path = path.strip_prefix(scratch).map(|name| folder.join(name)).unwrap_or(path);
            Error::Write { path, source }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::replace;
    use crate::Error;
    use std::fs;

    #[test]
    fn failed_write_leaves_the_folder_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("model.safetensors"), "old").unwrap();
        let failure = replace(folder.path(), |scratch| {
            fs::write(scratch.join("model.safetensors"), "half").unwrap();
            Err(Error::Write { path: scratch.join("config.json"), source: std::io::ErrorKind::StorageFull.into() })
        });
        assert!(failure.unwrap_err().to_string().starts_with(&at("config.json").display().to_string()));
        assert_eq!(fs::read_to_string(at("model.safetensors")).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn folder_of_another_project_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), r#"{"port": 80}"#).unwrap();
        let failure = replace(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(failure.contains("not a model configuration"), "{failure}");
    }
}
