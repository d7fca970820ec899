#![doc = include_str!("../README.md")]
//!
//! # Downloads
//!
//! [`download`] fetches the files that a checkpoint needs, and no others, into the cache that the hub's other tools
//! use: a file that one of them has fetched is not fetched again. Requests go through `hf-hub`, Xet storage included;
//! this crate decides what is fetched, resumes broken transfers, verifies every file before it gets its name in the
//! cache, and uses a complete cache when the hub cannot be asked. Of hf-hub's own downloads only the stream of a file
//! is used: those into the cache name what arrives without looking at the status of the answer or at its hash, begin
//! anew when a connection breaks, wait for metadata without a time-out, and need a file system with links.

mod cache;
mod client;
mod error;
mod event;
mod failure;
mod files;
mod gguf;
mod names;
mod object;
mod options;
mod selection;
mod snapshot;
mod transfer;
mod worker;

pub use error::HubError;
pub use event::Event;
pub use options::{GgufFiles, HubOptions};

use std::ops::ControlFlow;
use std::path::PathBuf;

/// Fetches a checkpoint with the [`HubOptions`] of the environment and returns its folder.
///
/// See [`HubOptions::download`] for the arguments.
///
/// # Errors
///
/// As [`HubOptions::from_env`] and [`HubOptions::download`].
pub fn download(
    repo: &str,
    revision: Option<&str>,
    events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<PathBuf, HubError> {
    HubOptions::from_env()?.download(repo, revision, events)
}

/// Fetches GGUF files with the [`HubOptions`] of the environment.
///
/// See [`HubOptions::download_gguf`] for the arguments.
///
/// # Errors
///
/// As [`HubOptions::from_env`] and [`HubOptions::download_gguf`].
pub fn download_gguf(
    repo: &str,
    revision: Option<&str>,
    quantization: Option<&str>,
    events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<GgufFiles, HubError> {
    HubOptions::from_env()?.download_gguf(repo, revision, quantization, events)
}
