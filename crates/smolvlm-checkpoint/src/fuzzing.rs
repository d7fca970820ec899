//! Entry points of the fuzz target `shard_index` to what has no public interface.

use crate::shards::shard_files;
use std::path::{Component, Path};

/// Reads an index.
///
/// # Panics
///
/// When a file outside the folder of the index is accepted, or an error is longer than a screen.
pub fn shard_index(index: &Path) {
    match shard_files(index) {
        Ok(files) => {
            assert!(!files.is_empty());
            for file in files.keys() {
                assert!(!file.contains(['\\', ':', '\0']), "{file:?}");
                assert!(Path::new(file).components().all(|part| matches!(part, Component::Normal(_))), "{file:?}");
            }
        }
        Err(error) => assert!(error.to_string().len() < 2_000, "{error}"),
    }
}
