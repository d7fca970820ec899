//! Atomic writing of output files, with support for symbolic links, pipes and devices.
//!
//! ```
//! let folder = std::env::temp_dir();
//! let path = folder.join(format!("smolvlm-files-{}.txt", std::process::id()));
//! let output = smolvlm_files::OutputFile::resolve(&path)?;
//! let draft = output.draft()?;
//! std::fs::write(draft.path(), "all of it")?;
//! draft.commit()?;
//! # std::fs::remove_file(path)?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod drafts;
mod folder;
mod output;
mod same;
mod target;

pub use drafts::{discard_drafts, is_draft};
pub use folder::DraftFolder;
pub use output::{Draft, OutputFile, write};
pub use same::is_same_file;
