//! The index of a sharded checkpoint: accepted ones name only files inside their folder.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_checkpoint::Weights;
use std::fs;

fuzz_target!(|text: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder for the index");
    fs::write(folder.path().join("model.safetensors.index.json"), text).expect("the index is written");
    // The shards are missing, so that every index is refused.
    let error = Weights::open(folder.path()).expect_err("no shard exists");
    assert!(error.to_string().len() < 2_000, "{error}");
});
