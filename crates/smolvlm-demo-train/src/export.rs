//! The checkpoint as it is shipped.

use crate::design;
use smolvlm_config::FloatType;
use smolvlm_processor::Processor;
use smolvlm_train::load_model;
use std::error::Error;
use std::path::Path;

/// Writes a folder in the layout of the released checkpoints, weights in bf16.
pub fn run(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let (model, processor) = (load_model(from)?, Processor::from_directory(from)?);
    let mut config = model.config().clone();
    config.dtype = Some(FloatType::Bf16);
    std::fs::create_dir_all(to)?;
    std::fs::write(to.join("config.json"), config.to_json())?;
    std::fs::write(to.join("generation_config.json"), design::generation(&config).to_json())?;
    std::fs::write(to.join("processor_config.json"), processor.config().to_json())?;
    processor.save_tokenizer(to)?;
    model.save(FloatType::Bf16, to.join("model.safetensors"))?;
    Ok(())
}
