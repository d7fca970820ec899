//! Where a document is written.

use crate::failure::Failure;
use crate::{answer, output};
use smolvlm_files::{Draft, OutputFile};
use std::path::Path;

/// The output of a document: stdout for `-`, or a file whose draft exists from the start, so that a folder in which no
/// file can be created is found before the work.
pub enum Target {
    Stdout,
    File(Draft),
}

impl Target {
    /// Whether an output path is stdout.
    pub fn is_stdout(path: &Path) -> bool {
        path.as_os_str() == "-"
    }

    /// Creates the draft of a file.
    ///
    /// # Errors
    ///
    /// Paths at which no file can be written.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        if Self::is_stdout(path) {
            return Ok(Self::Stdout);
        }
        let draft = OutputFile::resolve(path).and_then(|file| file.draft());
        draft.map(Self::File).map_err(|error| output::write_failure(path, error))
    }

    /// Writes the document.
    ///
    /// # Errors
    ///
    /// When stdout or the file cannot be written.
    pub fn write(self, path: &Path, text: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout => Ok(answer::to_stdout(text)?),
            Self::File(draft) => {
                let written = std::fs::write(draft.path(), text).and_then(|()| draft.commit());
                written.map_err(|error| output::write_failure(path, error))
            }
        }
    }
}
