//! The checkpoint as it is shipped.

use crate::design;
use crate::stage::Stage;
use smolvlm_config::FloatType;
use smolvlm_processor::{Processor, RELEASED_CHAT_TEMPLATE};
use smolvlm_train::{latest_checkpoint, load_model};
use std::error::Error;
use std::path::Path;

/// Writes the newest checkpoint of a training run as a folder in the layout of the released ones, weights in bf16.
pub fn run(out: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut from = None;
    for stage in Stage::ALL {
        from = latest_checkpoint(&out.join(stage.name()))?.or(from);
    }
    let from = &from.ok_or_else(|| format!("{} holds no checkpoint of training", out.display()))?;
    let (model, processor) = (load_model(from)?, Processor::from_directory(from)?);
    let mut config = model.config().clone();
    config.dtype = Some(FloatType::Bf16);
    std::fs::create_dir_all(to)?;
    std::fs::write(to.join("config.json"), config.to_json())?;
    std::fs::write(to.join("generation_config.json"), design::generation(&config).to_json())?;
    std::fs::write(to.join("processor_config.json"), processor.config().to_json())?;
    std::fs::write(to.join("chat_template.jinja"), RELEASED_CHAT_TEMPLATE)?;
    processor.save_tokenizer(to)?;
    model.save(FloatType::Bf16, to.join("model.safetensors"))?;
    Ok(())
}
