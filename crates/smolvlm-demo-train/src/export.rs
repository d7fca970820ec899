//! Export of the shipped checkpoint.

use crate::stage::Stage;
use smolvlm_config::FloatType;
use smolvlm_processor::Processor;
use smolvlm_train::{latest_checkpoint, load_model, save_model};
use std::error::Error;
use std::path::Path;

/// Writes the newest checkpoint of a training run as a folder in the layout of released checkpoints, with weights in
/// bf16.
pub fn run(out: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut from = None;
    for stage in Stage::ALL {
        from = latest_checkpoint(&out.join(stage.name()))?.or(from);
    }
    let from = &from.ok_or_else(|| format!("{} contains no training checkpoint", out.display()))?;
    std::fs::create_dir_all(to)?;
    save_model(&load_model(from)?, &Processor::from_directory(from)?, FloatType::Bf16, to)?;
    Ok(())
}
