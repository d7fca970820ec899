//! Output files and folders: interruption, existing folders, errors.

use crate::failure::Failure;
use crate::say;
use smolvlm_files::is_draft;
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// The exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// The failure of writing a file or folder.
pub fn write_failure(path: &Path, error: io::Error) -> Failure {
    Failure::Write { path: path.to_owned(), message: error.to_string() }
}

/// Installs a Ctrl-C handler that deletes incomplete output files.
pub fn discard_on_interrupt() -> Result<(), Failure> {
    let end = || {
        smolvlm_files::discard_drafts();
        std::process::exit(INTERRUPTED.into());
    };
    ctrlc::set_handler(end).map_err(Failure::Signal)
}

/// Rejects a non-empty checkpoint folder without `force`. Returns the names of files that will be kept, because
/// `is_replaced` is false.
pub fn check_folder(folder: &Path, force: bool, is_replaced: fn(&Path) -> bool) -> Result<Vec<String>, Failure> {
    let names: Vec<OsString> = match std::fs::read_dir(folder) {
        Ok(entries) => {
            let names = entries.flatten().map(|entry| entry.file_name());
            names.filter(|name| !is_draft(name.as_ref())).collect()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(write_failure(folder, error)),
    };
    if !names.is_empty() && !force {
        let message = "already exists; use --force to replace it".to_owned();
        return Err(Failure::Write { path: folder.to_path_buf(), message });
    }
    let kept = names.iter().filter(|name| !is_replaced(&folder.join(name)));
    Ok(kept.map(|name| name.to_string_lossy().into_owned()).collect())
}

/// Prints a note about files in the folder that are not part of the checkpoint.
pub fn note_kept(folder: &Path, kept: &[String]) {
    if !kept.is_empty() {
        say::note(format_args!(
            "{}: kept files that are not part of the checkpoint: {}",
            folder.display(),
            kept.join(", ")
        ));
    }
}
