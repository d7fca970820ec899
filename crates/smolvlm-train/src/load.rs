//! Checkpoints to models that can be trained.

use crate::Error;
use burn::tensor::Device;
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_model::{SmolVlmModel, Weights};
use std::path::Path;

/// The model of a checkpoint folder, in f32 on the CPU, with weights that are not packed.
///
/// # Errors
///
/// A folder that cannot be read, or whose weights do not fit its configuration.
pub fn load_model(folder: &Path) -> Result<SmolVlmModel, Error> {
    let config = ModelConfig::from_directory(folder).map_err(smolvlm_model::Error::from)?;
    load_weights(&config, &Weights::open(folder)?)
}

/// As [`load_model`], of weights that are open already.
///
/// # Errors
///
/// Weights that do not fit the configuration.
pub fn load_weights(config: &ModelConfig, weights: &Weights) -> Result<SmolVlmModel, Error> {
    Ok(SmolVlmModel::load(config, weights, &Device::flex(), FloatType::F32)?.0)
}
