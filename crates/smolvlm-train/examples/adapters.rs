//! Loads LoRA adapters onto a checkpoint and saves them again: `adapters CHECKPOINT FROM TO`.

use smolvlm_train::{load_adapters, load_model, save_adapters};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [checkpoint, from, to] = folders.as_slice() else { return Err("adapters CHECKPOINT FROM TO".into()) };
    let model = load_model(checkpoint)?;
    Ok(save_adapters(&load_adapters(model, from)?, checkpoint.to_str(), to)?)
}
