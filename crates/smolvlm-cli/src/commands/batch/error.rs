//! Errors of `smolvlm batch` that end the run.

use std::path::PathBuf;

/// Errors of `smolvlm batch` that end the run. Errors of single rows are part of the output.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// An input that cannot be a data set.
    #[error("{}: {message}", path.display())]
    Input {
        /// The file, folder or pattern.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// Arguments that do not fit the data set or each other.
    #[error("{0}")]
    Arguments(String),
    /// An output folder with parts that no manifest describes.
    #[error(
        "{}: is output of a run whose batch.json is missing; choose another folder, or empty this one",
        path.display()
    )]
    NoManifest {
        /// The first such file.
        path: PathBuf,
    },
    /// A file that is not a manifest.
    #[error("{}: {message}; choose another folder, or empty this one", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// Settings that differ from those of the earlier run.
    #[error(
        "{}: an earlier run had other settings: {}; use the same to resume, or choose another folder",
        path.display(),
        differences.join(", ")
    )]
    Settings {
        /// The manifest.
        path: PathBuf,
        /// Each difference.
        differences: Vec<String>,
    },
    /// A shard that another process works on.
    #[error("{}: another process is writing shard {shard} in this folder", folder.display())]
    Locked {
        /// The output folder.
        folder: PathBuf,
        /// The shard.
        shard: String,
    },
}
