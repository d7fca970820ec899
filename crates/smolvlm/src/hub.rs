//! Checkpoints from the Hugging Face Hub: re-exports of `smolvlm-hub`, and a download that reports [`Progress`].

pub use smolvlm_hub::{Event, GgufFiles, HubError, HubOptions};

use crate::{Cancel, Progress};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Downloads a checkpoint with the [`HubOptions`] of the environment and returns its folder. Use it to download files
/// ahead of time; [`Source::hub`](crate::Source::hub) does the same on loading.
///
/// See [`HubOptions::download`] for the arguments. `cancel` stops the download from elsewhere.
///
/// # Errors
///
/// As [`HubOptions::from_env`] and [`HubOptions::download`].
pub fn download(
    repo: &str,
    revision: Option<&str>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    smolvlm_hub::download(repo, revision, &mut |event| report(event, cancel, progress))
}

/// Downloads a text model and an mmproj file in GGUF, as [`download`].
///
/// See [`HubOptions::download_gguf`] for the arguments.
///
/// # Errors
///
/// As [`HubOptions::from_env`] and [`HubOptions::download_gguf`].
pub fn download_gguf(
    repo: &str,
    revision: Option<&str>,
    kind: Option<&str>,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<GgufFiles, HubError> {
    smolvlm_hub::download_gguf(repo, revision, kind, &mut |event| report(event, cancel, progress))
}

fn report(event: Event<'_>, cancel: &Cancel, progress: &mut dyn FnMut(Progress<'_>)) -> ControlFlow<()> {
    match event {
        Event::Progress { file, done, total } => progress(Progress::Download { file, done, total }),
        Event::Note(text) => progress(Progress::Note(text)),
        _ => {}
    }
    if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
