//! Comparison of the files that two paths name.

use std::fs::{self, Metadata};
use std::path::Path;

/// Whether two paths name the same existing file or folder, also through symbolic or hard links. Character devices
/// never count as the same, since a terminal can be both input and output.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    let (Ok(first), Ok(second)) = (fs::metadata(a), fs::metadata(b)) else { return false };
    if is_character_device(&first) {
        return false;
    }
    has_same_inode(&first, &second)
        || matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(first), Ok(second)) if first == second)
}

#[cfg(unix)]
pub(crate) fn has_same_inode(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
pub(crate) fn has_same_inode(_: &Metadata, _: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn is_character_device(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_character_device(_: &Metadata) -> bool {
    false
}
