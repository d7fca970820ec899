//! Checkpoints from the Hugging Face hub.
//!
//! [`download`] fetches what a checkpoint needs and nothing else of its repository, into the cache that the hub's other
//! tools use: a file that one of them has fetched is not fetched again. [`HubOptions`] says where the hub and the cache
//! are; the environment sets them:
//!
//! | variable | meaning | else |
//! |---|---|---|
//! | `HF_HUB_CACHE` | folder of the cache | `hub` in `HF_HOME` |
//! | `HF_HOME` | folder of the hub's tools | `huggingface` in `XDG_CACHE_HOME`, or in `~/.cache` |
//! | `HF_TOKEN` | token sent to the hub | the file `HF_TOKEN_PATH`, or `token` in `HF_HOME` |
//! | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | 1: no token is sent | |
//! | `HF_HUB_OFFLINE` | 1: nothing is sent, only the cache is used | |
//! | `HF_ENDPOINT` | address of the hub or a mirror | `https://huggingface.co` |
//! | `SSL_CERT_FILE` | PEM certificates to trust | those that Mozilla trusts |
//! | `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` | proxy | |

mod cache;
mod client;
mod error;
mod files;
mod names;
mod options;
mod snapshot;
mod transfer;
mod urls;

pub use error::HubError;
pub use options::HubOptions;

use crate::Progress;
use std::path::PathBuf;

/// Fetches a checkpoint with the [`HubOptions`] of the environment and gives its folder. Use it to have the files at
/// hand before they are needed; [`Source::hub`](crate::Source::hub) does the same on loading.
///
/// See [`HubOptions::download`] for the arguments.
///
/// # Errors
///
/// As [`HubOptions::from_env`] and [`HubOptions::download`].
pub fn download(
    repo: &str,
    revision: Option<&str>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, HubError> {
    HubOptions::from_env()?.download(repo, revision, progress)
}
