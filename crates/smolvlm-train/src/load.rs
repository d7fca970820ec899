//! Loading checkpoints for training.

use crate::Error;
use burn::tensor::Device;
use smolvlm_checkpoint::Weights;
use smolvlm_config::{FloatType, GenerationConfig, ModelConfig};
use smolvlm_model::SmolVlmModel;
use std::path::Path;

/// Loads the model of a checkpoint folder, in f32 on the CPU, with weights that are not packed. Its configuration
/// includes the generation parameters of `generation_config.json`, which training checkpoints preserve.
///
/// # Errors
///
/// When the folder cannot be read, or its weights do not fit its configuration.
pub fn load_model(folder: &Path) -> Result<SmolVlmModel, Error> {
    let mut config = ModelConfig::from_directory(folder).map_err(smolvlm_model::Error::from)?;
    config.generation = GenerationConfig::from_directory(folder, &config).map_err(smolvlm_model::Error::from)?;
    load_weights(&config, &Weights::open(folder)?)
}

/// Loads a model as [`load_model`], from weights that are already open.
///
/// # Errors
///
/// When the weights do not fit the configuration.
pub fn load_weights(config: &ModelConfig, weights: &Weights) -> Result<SmolVlmModel, Error> {
    Ok(SmolVlmModel::load(config, weights, &Device::flex(), FloatType::F32)?.0)
}
