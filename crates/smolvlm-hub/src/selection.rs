//! What to fetch of a repository.

use super::{files, gguf};
use std::path::Path;

/// What to fetch of a repository.
#[derive(Debug, Clone, Copy)]
pub(super) enum Selection<'a> {
    /// The files of a checkpoint.
    Checkpoint,
    /// A text model and an `mmproj` file, of the given quantization if one is requested.
    Gguf(Option<&'a str>),
}

impl<'a> Selection<'a> {
    /// The requested quantization of a GGUF text model.
    pub(super) fn quantization(self) -> Option<&'a str> {
        match self {
            Self::Checkpoint => None,
            Self::Gguf(quantization) => quantization,
        }
    }

    /// Whether a file may be fetched.
    pub(super) fn is_fetched(self) -> fn(&str) -> bool {
        match self {
            Self::Checkpoint => files::is_fetched,
            Self::Gguf(_) => gguf::is_gguf,
        }
    }

    /// The files to fetch of those that a repository has; text and index of the weights come last.
    ///
    /// # Errors
    ///
    /// The names of the text models, if none or several fit.
    pub(super) fn wanted(self, names: &[String]) -> Result<Vec<String>, String> {
        let names = || names.iter().map(String::as_str);
        match self {
            Self::Checkpoint => {
                let has = |name: &str| names().any(|file| file == name);
                let weights = if has(files::WEIGHTS) { files::WEIGHTS } else { files::INDEX };
                let others = names().filter(|name| files::is_wanted(name));
                Ok(others.chain(has(weights).then_some(weights)).map(str::to_owned).collect())
            }
            Self::Gguf(quantization) => {
                let chosen = gguf::choose(names(), quantization)?;
                Ok(chosen.mmproj.into_iter().chain([chosen.text]).collect())
            }
        }
    }

    /// The first file that is missing from a folder, if any.
    pub(super) fn missing(self, folder: &Path) -> Option<String> {
        match self {
            Self::Checkpoint => files::missing(folder),
            Self::Gguf(quantization) => {
                let chosen = gguf::choose(names_in(folder).iter().map(String::as_str), quantization);
                let name = || quantization.map_or_else(|| "a GGUF file".to_owned(), |name| format!("*{name}.gguf"));
                chosen.is_err().then(name)
            }
        }
    }
}

/// The names of the files in a folder.
pub(super) fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    // `is_file` follows symlinks: a dangling one counts as missing.
    let files = entries.filter(|entry| entry.path().is_file());
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
