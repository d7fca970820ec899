//! Output of `smolvlm batch`: parts, the journal of unfinished parts, the manifest, and locks.

mod answer;
mod journal;
mod lock;
mod manifest;
#[cfg_attr(not(feature = "parquet"), path = "no_parquet.rs")]
mod parquet;
mod parts;

pub use answer::Answer;
pub use journal::Journal;
pub use lock::{lock_manifest, lock_shard};
pub use manifest::check_manifest;
pub use parts::{IdType, Parts};

use std::io;
use std::path::Path;

/// Makes renamed and deleted files in a folder durable, where the system can.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { std::fs::File::open(folder)?.sync_all() } else { Ok(()) }
}
