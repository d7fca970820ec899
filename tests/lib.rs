//! Helpers of the integration tests: discovery of the goldens by folder.

mod expected;
mod trials;

pub use expected::{Golden, relative_error, tensor_rows};
pub use trials::{Trials, cases_of_all_checkpoints};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use smolvlm::processor::{Batch, Conversation, Media, Processor, RenderOptions};
use smolvlm::{Dtype, Options};
use std::fs;
use std::path::{Path, PathBuf};

/// Options that reproduce the reference's tokens: f32 on every machine.
pub fn exact() -> Options {
    Options { dtype: Dtype::F32, ..Options::default() }
}

/// Path of `tests/golden`, taken from the environment at run time, since the tests may have been built on another
/// machine.
pub fn golden_root() -> PathBuf {
    let tests = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(tests).join("golden")
}

/// A tiny checkpoint with its golden cases.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Name of the folder.
    pub name: String,
    /// Folder with `model/` and one folder per case.
    pub folder: PathBuf,
}

/// One golden case: conversations and the expected output of every stage.
#[derive(Debug, Clone)]
pub struct Case {
    /// `checkpoint/case`.
    pub name: String,
    /// `case.json`.
    pub expected: Value,
    /// Path of `expected.safetensors`.
    pub tensors: PathBuf,
    /// Whether it is one of the cases with videos.
    pub has_videos: bool,
}

/// Returns all checkpoints: every folder that contains `model/`.
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
    /// Path of the checkpoint in Hugging Face layout.
    pub fn model(&self) -> PathBuf {
        self.folder.join("model")
    }

    /// Returns all cases with images or only text.
    pub fn cases(&self) -> Vec<Case> {
        let found = self.cases_below(&self.folder, false);
        assert!(!found.is_empty(), "{} has no cases", self.name);
        found
    }

    /// Returns the cases with videos; empty for some checkpoints.
    pub fn video_cases(&self) -> Vec<Case> {
        let folder = self.folder.join("video");
        if folder.is_dir() { self.cases_below(&folder, true) } else { Vec::new() }
    }

    /// Returns all cases that record every stage.
    pub fn all_cases(&self) -> Vec<Case> {
        [self.cases(), self.video_cases()].concat()
    }

    fn cases_below(&self, parent: &Path, has_videos: bool) -> Vec<Case> {
        folders(parent)
            .into_iter()
            .filter(|folder| folder.join("case.json").is_file())
            .map(|folder| Case {
                name: format!("{}/{}", self.name, file_name(&folder)),
                expected: read_json(&folder.join("case.json")),
                tensors: folder.join("expected.safetensors"),
                has_videos,
            })
            .collect()
    }

    /// Returns names and contents of the generation cases; empty for some checkpoints.
    pub fn generation_cases(&self) -> Vec<(String, Value)> {
        let Ok(entries) = fs::read_dir(self.folder.join("generation")) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        files.iter().map(|file| (format!("{}/{}", self.name, file_name(file)), read_json(file))).collect()
    }
}

/// Resolves the media paths of a case's conversations, which are relative to `tests/golden`.
pub fn with_absolute_paths(conversations: &Value) -> Value {
    let mut conversations = conversations.clone();
    let messages = conversations.as_array_mut().into_iter().flatten().filter_map(Value::as_array_mut).flatten();
    for item in messages.filter_map(|message| message["content"].as_array_mut()).flatten() {
        if let Some(path) = item["path"].as_str() {
            item["path"] = golden_root().join(path).to_string_lossy().into();
        }
    }
    conversations
}

/// Compares the rendered template, the prompts, the token ids and the mask of conversations with a case; returns the
/// batch.
pub fn assert_prompts(case: &Case, processor: &Processor, conversations: &[Conversation]) -> Batch {
    let (expected, options) = (&case.expected, RenderOptions::answer());
    let rendered = conversations.iter().map(|conversation| processor.render(conversation, &options).unwrap());
    assert_eq!(json!(rendered.collect::<Vec<String>>()), expected["rendered"], "{}", case.name);
    let batch = processor.process(conversations, &options).unwrap();
    assert_eq!(json!(batch.prompts), expected["prompts"], "{}", case.name);
    let ids: Vec<&[u32]> = batch.input_ids.chunks(batch.len).collect();
    assert_eq!(json!(ids), expected["input_ids"], "{}", case.name);
    let mask: Vec<&[u8]> = batch.attention_mask.chunks(batch.len).collect();
    assert_eq!(json!(mask), expected["attention_mask"], "{}", case.name);
    batch
}

/// Compares all pixels of a batch with a case. The goldens store u8 levels; the generator asserted that the reference's
/// floats equal `(level - 127.5) / 127.5`.
pub fn assert_pixels(case: &Case, batch: &Batch) {
    let levels = batch.all_media().flat_map(Media::pixels).map(|&value| {
        let level = (value * 127.5 + 127.5).round();
        assert_eq!(value.to_bits(), ((level - 127.5) / 127.5).to_bits(), "{}: {value}", case.name);
        level as u8
    });
    let levels: Vec<u8> = levels.collect();
    let expected = &case.expected;
    assert_eq!(u64::from(crc32(levels.iter().copied())), expected["pixels_crc32"].as_u64().unwrap(), "{}", case.name);
    let shape = batch.pixel_values().map(|pixels| pixels.shape);
    assert_eq!(json!(shape), expected["pixel_values_shape"], "{}", case.name);
    let (tiles, edge) = (batch.tile_count(), batch.edge);
    assert_eq!(levels.len(), tiles * 3 * edge * edge);
    assert_eq!(expected["pixels_shape"][0], tiles, "{}", case.name);
}

/// Parses the rows of a batch from a golden.
pub fn rows<T: DeserializeOwned>(value: &Value) -> Vec<Vec<T>> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Reads a JSON file of the goldens.
pub fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Computes the checksum that the goldens use: CRC-32 as in zlib and PNG.
pub fn crc32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let step = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.into_iter().fold(!0, step)
}

/// Generates the noise of the golden scripts: the high bytes of a 64-bit linear congruential generator.
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
    fn crc32_of_the_standard_check_value() {
        assert_eq!(super::crc32(*b"123456789"), 0xcbf4_3926);
    }
}
