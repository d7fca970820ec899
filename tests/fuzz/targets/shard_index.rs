//! The index of a sharded checkpoint: accepted ones name only files inside their folder.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|text: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder for the index");
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, text).expect("the index is written");
    smolvlm_checkpoint::fuzzing::shard_index(&index);
});
