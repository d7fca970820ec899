//! Helpers shared by the integration tests: goldens found by folder.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// `tests/golden`.
pub fn golden_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// A tiny checkpoint and what the reference answered with it.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
    /// Its folder, with `model/` and one folder a case.
    pub folder: PathBuf,
}

/// One golden case: conversations, and what every stage made of them.
#[derive(Debug, Clone)]
pub struct Case {
    /// `checkpoint/case`.
    pub name: String,
    /// `case.json`.
    pub expected: Value,
    /// Path of `expected.safetensors`.
    pub tensors: PathBuf,
}

/// All checkpoints: every folder that holds a `model`.
pub fn checkpoints() -> Vec<Checkpoint> {
    let found: Vec<Checkpoint> = folders(&golden_root())
        .into_iter()
        .filter(|folder| folder.join("model").is_dir())
        .map(|folder| Checkpoint { name: file_name(&folder), folder })
        .collect();
    assert!(found.len() >= 5, "only {} golden checkpoints", found.len());
    found
}

impl Checkpoint {
    /// The checkpoint itself, in Hugging Face layout.
    pub fn model(&self) -> PathBuf {
        self.folder.join("model")
    }

    /// All its cases.
    pub fn cases(&self) -> Vec<Case> {
        let found: Vec<Case> = folders(&self.folder)
            .into_iter()
            .filter(|folder| folder.join("case.json").is_file())
            .map(|folder| Case {
                name: format!("{}/{}", self.name, file_name(&folder)),
                expected: read_json(&folder.join("case.json")),
                tensors: folder.join("expected.safetensors"),
            })
            .collect();
        assert!(!found.is_empty(), "{} has no cases", self.name);
        found
    }
}

/// A JSON file of the goldens.
pub fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The checksum that the goldens use (CRC-32 of zlib and PNG), bit by bit.
pub fn crc32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let step = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.into_iter().fold(!0, step)
}

/// The bytes that the golden scripts draw their noise from: the high bytes of a 64-bit linear congruential generator.
pub fn lcg_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksum_of_the_standard_example() {
        assert_eq!(super::crc32(*b"123456789"), 0xcbf4_3926);
    }
}
