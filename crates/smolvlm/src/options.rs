//! Options of loading and running a model.

use crate::device::Found;
use crate::{Adapter, Cancel, Device, Error, FeatureCacheOptions};
use smolvlm_checkpoint::Weights;
use smolvlm_config::{FloatType, ResizePolicy};
use smolvlm_kernels::PackedFormat;
use smolvlm_model::{WeightFormat, dtype};
use smolvlm_processor::{MediaPolicy, ProcessorLimits, VideoPromptStyle};
use std::fmt;
use std::str::FromStr;

/// Options of loading and running a model. `Options::default()` adapts to the machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// The device to run on.
    pub device: Device,
    /// Number format of weights and arithmetic.
    pub dtype: Dtype,
    /// LoRA adapters to merge into the weights, in this order.
    pub adapters: Vec<Adapter>,
    /// Number of threads for image processing, video decoding and CPU devices. If none, media take every processor, and
    /// models on CPUs one thread per physical core ([`default_threads`](crate::default_threads)).
    pub threads: Option<usize>,
    /// Number of tiles per batch of the vision encoder. It bounds the encoder's memory: one 512x512 tile of the 256M
    /// model needs about 60 MB of activations in f32. If none, 1 on CPUs and 32 on GPUs.
    pub vision_batch: Option<usize>,
    /// Whether images are split into tiles; as in the checkpoint if none. Without splitting every image is one tile:
    /// many times faster, but small text is lost.
    pub image_splitting: Option<bool>,
    /// Image resizing: as the reference, or to fewer tiles to save time.
    pub resize: ResizePolicy,
    /// Frames per second to sample from videos; as in the checkpoint if none.
    pub video_fps: Option<f64>,
    /// Maximum number of frames to sample from a video; as in the checkpoint if none. All images of a folder, or of a
    /// list without a frame rate, are used unless this is set.
    pub video_frames: Option<u32>,
    /// The text that prompts contain around video frames.
    pub video_prompt_style: VideoPromptStyle,
    /// The handling of conversations that are too long for the model's context.
    pub truncation: Truncation,
    /// Whether control tokens (`<image>`, `<end_of_utterance>`, ...) in the texts of conversations are treated as plain
    /// text. Off by default, as in the reference, which treats them like those of the template; a [`Chat`](crate::Chat)
    /// always treats them as plain text.
    pub sanitize_control_tokens: bool,
    /// Size of the LRU cache of tile features in memory in bytes, so that the same image is encoded once; 0 disables
    /// it. 64 MiB by default: a tile of the 256M model takes 144 KiB in f32.
    pub feature_cache_bytes: usize,
    /// A cache of tile features on disk in addition, which outlives the process; none by default.
    pub feature_cache: Option<FeatureCacheOptions>,
    /// Memory for keys and values of finished requests in bytes, so that a later prompt with the same start costs only
    /// its own tokens; 0 disables their reuse. 256 MiB by default: a token of the 256M model takes 22.5 KiB in bf16.
    pub prefix_cache_bytes: usize,
    /// The files, hosts and data that conversations may refer to; all by default.
    pub media_policy: MediaPolicy,
    /// Size limits of images and videos, checked before they are decoded.
    pub limits: ProcessorLimits,
    /// A token that stops downloading and loading from elsewhere with [`Error::Cancelled`]. It does not affect the
    /// loaded model, see [`SmolVlm::with_cancel`](crate::SmolVlm::with_cancel).
    pub cancel: Cancel,
}

/// Default number of tiles per batch on GPUs, which a single tile does not saturate.
const GPU_VISION_BATCH: usize = 32;

impl Options {
    /// Number of tiles per batch of the vision encoder on a device.
    pub(crate) fn vision_batch_on(&self, device: Device) -> usize {
        let default = if device.is_cpu() { 1 } else { GPU_VISION_BATCH };
        self.vision_batch.unwrap_or(default).max(1)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device: Device::Auto,
            dtype: Dtype::Auto,
            adapters: Vec::new(),
            threads: None,
            vision_batch: None,
            image_splitting: None,
            resize: ResizePolicy::default(),
            video_fps: None,
            video_frames: None,
            video_prompt_style: VideoPromptStyle::default(),
            truncation: Truncation::default(),
            sanitize_control_tokens: false,
            feature_cache_bytes: 64 << 20,
            feature_cache: None,
            prefix_cache_bytes: 256 << 20,
            media_policy: MediaPolicy::default(),
            limits: ProcessorLimits::default(),
            cancel: Cancel::new(),
        }
    }
}

/// The handling of conversations that are too long for the model's context. Images are never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Truncation {
    /// Returns an error with the token counts.
    #[default]
    Refuse,
    /// Drops the oldest turns; leading system messages and the last message are kept.
    DropOldest,
}

/// Number format of weights and arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Dtype {
    /// That of a quantized checkpoint or GGUF file on a CPU, otherwise the fastest format on the device that is
    /// lossless for the released checkpoints, which are bf16: bf16 on GPUs that support it and on CPUs with AVX512-BF16
    /// or FEAT_BF16 (ARM64), else `F32`. f32 checkpoints are rounded by bf16.
    /// [`SmolVlm::format`](crate::SmolVlm::format) returns the selected one.
    #[default]
    Auto,
    /// 32-bit floats. On a CPU, weights that are bf16 in the checkpoint take no more memory: they are widened when they
    /// are multiplied, with the same results.
    F32,
    /// bfloat16: half the memory of f32, two to three significant digits.
    Bf16,
    /// IEEE half precision.
    F16,
    /// CPU only: 8-bit weights with a scale per 64 inputs, 8-bit activations likewise; 16 bits for generated tokens.
    Q8,
    /// CPU only: 4-bit text weights with a scale and a minimum per 32 inputs, 8-bit activations with a scale per 32; 16
    /// bits for generated tokens; vision and output projection as in `Q8`.
    Q4,
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" | "float32" => Ok(Self::F32),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            "f16" | "float16" => Ok(Self::F16),
            "q8" | "int8" => Ok(Self::Q8),
            "q4" | "int4" => Ok(Self::Q4),
            _ => Err(Error::Option { option: "dtype", value: text.into(), legal: "auto, f32, bf16, f16, q8 or q4" }),
        }
    }
}

/// The form that [`Dtype::from_str`] parses.
impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

impl Dtype {
    /// The format of the weights on a device. On Flex they are packed for this project's kernels, except in f16; on
    /// other devices they are tensors of the given type, if the device supports it.
    pub(crate) fn weight_format(self, found: &Found) -> Result<WeightFormat, Error> {
        let device = found.info.device;
        let tensors = |float: FloatType| {
            let computes = device != Device::NdArray || float == FloatType::F32;
            (computes && found.handle.supports_dtype(dtype(float))).then_some(WeightFormat::Tensors(float))
        };
        let format = match (device, self) {
            (Device::Flex, Self::F32) => Some(WeightFormat::Packed(PackedFormat::F32)),
            (Device::Flex, Self::Bf16) => Some(WeightFormat::Packed(PackedFormat::Bf16)),
            (Device::Flex, Self::Auto) => Some(WeightFormat::Packed(fastest_lossless())),
            (Device::Flex, Self::Q8) => Some(WeightFormat::Packed(PackedFormat::Q8)),
            (Device::Flex, Self::Q4) => Some(WeightFormat::Packed(PackedFormat::Q4)),
            (_, Self::Q8 | Self::Q4) => None,
            (_, Self::F32) => tensors(FloatType::F32),
            (_, Self::Bf16) => tensors(FloatType::Bf16),
            (_, Self::F16) => tensors(FloatType::F16),
            // This backend converts bf16 back and forth for every matrix product.
            (Device::CubeCpu, Self::Auto) => tensors(FloatType::F32),
            (_, Self::Auto) => tensors(FloatType::Bf16).or_else(|| tensors(FloatType::F32)),
        };
        format.ok_or(Error::NoDtype { dtype: self, device })
    }
}

/// Resolves the format of packed weights: [`Dtype::Auto`] keeps that of a quantized checkpoint, and f32 arithmetic does
/// not need bf16 weights in f32. Without weights, the model is random, and as large as the released ones.
pub(crate) fn resolve_format(dtype: Dtype, format: WeightFormat, weights: Option<&Weights>) -> WeightFormat {
    let WeightFormat::Packed(packed) = format else { return format };
    let quantized = weights.and_then(Weights::quantized).filter(|_| dtype == Dtype::Auto);
    let is_bf16 = weights.map_or(dtype == Dtype::Auto, Weights::is_bf16);
    WeightFormat::Packed(match (quantized, packed) {
        (Some(quantized), _) => quantized,
        (None, PackedFormat::F32) if is_bf16 => PackedFormat::Bf16Weights,
        (None, packed) => packed,
    })
}

/// The fastest format that is lossless for bf16 weights.
fn fastest_lossless() -> PackedFormat {
    #[cfg(feature = "flex")]
    if smolvlm_kernels::cpu::Isa::current().bf16 {
        return PackedFormat::Bf16;
    }
    PackedFormat::F32
}
