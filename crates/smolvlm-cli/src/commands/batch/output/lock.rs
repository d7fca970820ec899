//! Locks of an output folder, which the system releases when the process ends.

use crate::args::Shard;
use crate::commands::batch::error::BatchError;
use crate::failure::Failure;
use crate::output::write_failure;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// A held lock.
#[derive(Debug)]
#[must_use]
pub struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

/// Waits for the lock of the manifest, which processes hold while they start.
pub fn lock_manifest(folder: &Path) -> Result<Lock, Failure> {
    let path = folder.join(".batch.lock");
    let failed = |error| write_failure(&path, error);
    let file = open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(Lock(file))
}

/// Takes the lock of a shard.
///
/// # Errors
///
/// [`BatchError::Locked`] if another process holds it.
pub fn lock_shard(folder: &Path, shard: Shard) -> Result<Lock, Failure> {
    let path = folder.join(format!(".shard-{}-of-{}.lock", shard.number, shard.count));
    let failed = |error| write_failure(&path, error);
    let file = open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => {
            Err(BatchError::Locked { folder: folder.to_owned(), shard: shard.to_string() }.into())
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path)
}
