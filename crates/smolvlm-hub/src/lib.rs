//! Checkpoints from the Hugging Face hub.
//!
//! [`download`] fetches the files that a checkpoint needs, and no others, into the cache that the hub's other tools use: a
//! file that one of them has fetched is not fetched again. Requests go through `hf-hub`, Xet storage included; this crate
//! decides what is fetched, resumes broken transfers, verifies every file before it gets its name in the cache, and uses
//! a complete cache when the hub cannot be asked. Of hf-hub's own downloads only the stream of a file is used: those into
//! the cache name what arrives without looking at the status of the answer or at its hash, begin anew when a connection
//! breaks, wait for metadata without a time-out, and need a file system with links.
//!
//! [`HubOptions`] says where the hub and the cache are. The environment sets them; an empty variable counts as unset.
//!
//! | variable | meaning | else |
//! |---|---|---|
//! | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE` | folder of the cache | `hub` in `HF_HOME` |
//! | `HF_HOME` | folder of the hub's tools | `huggingface` in `XDG_CACHE_HOME`, or in `~/.cache` |
//! | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` | token sent to the hub | the file `HF_TOKEN_PATH`, or `token` in `HF_HOME` |
//! | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | 1: no token is sent | |
//! | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | 1: nothing is sent, only the cache is used | |
//! | `HF_HUB_DISABLE_SYMLINKS` | 1: files are stored in `snapshots/` themselves | links where the file system has them |
//! | `HF_ENDPOINT` | address of the hub or a mirror | `https://huggingface.co` |
//! | `SSL_CERT_FILE` | PEM certificates to trust | those that the system trusts |
//! | `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` | proxy | |

mod cache;
mod client;
mod error;
mod event;
mod failure;
mod files;
mod names;
mod object;
mod options;
mod snapshot;
mod transfer;
mod worker;

pub use error::HubError;
pub use event::Event;
pub use options::HubOptions;

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
