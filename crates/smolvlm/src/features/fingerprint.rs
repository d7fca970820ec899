//! What the features of a tile depend on besides its pixels.

use crate::{Checkpoint, DeviceInfo, Error};
use sha2::{Digest, Sha256};
use smolvlm_config::ModelConfig;
use smolvlm_kernels::cpu::Isa;
use smolvlm_model::WeightFormat;

/// SHA-256 of everything that features depend on besides the pixels, to the last bit.
pub(crate) type Fingerprint = [u8; 32];

/// Increased by changes of vision encoder, connector or kernels that change features between releases.
const REVISION: u32 = 1;

/// The fingerprint of a model: its weights with adapters, its configuration, the number format, the release, and the
/// device, since sums in another order differ in the last bits.
///
/// # Errors
///
/// Missing or invalid files of the checkpoint.
pub(crate) fn fingerprint(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    format: WeightFormat,
    device: &DeviceInfo,
) -> Result<Fingerprint, Error> {
    let weights = match checkpoint.weights()? {
        Some(weights) => format!("{:x?}", weights.vision_digest()),
        None => "random".to_owned(),
    };
    let kind = device.device.to_string();
    // The number of a device is not part of its kind.
    let kind = kind.split(':').next().unwrap_or_default();
    let gpu = (cfg!(feature = "fusion"), cfg!(feature = "autotune"));
    let parts = [
        format!("smolvlm {} {REVISION}", env!("CARGO_PKG_VERSION")),
        weights,
        format!("{:?} {} {}", config.vision, config.scale_factor, config.text.hidden_size),
        format!("{format:?}"),
        format!("{kind} {} {gpu:?}", device.name),
        format!("{} {} {:?}", std::env::consts::ARCH, std::env::consts::OS, Isa::current()),
    ];
    let hash = parts
        .iter()
        .fold(Sha256::new(), |hash, part| hash.chain_update((part.len() as u64).to_le_bytes()).chain_update(part));
    Ok(hash.finalize().into())
}
