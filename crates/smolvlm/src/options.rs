//! How a model is to be run.

use crate::device::Found;
use crate::{Adapter, Device, Error};
use burn::tensor::DType;
use smolvlm_config::{FloatType, ResizePolicy};
use smolvlm_kernels::Format;
use smolvlm_model::WeightFormat;
use smolvlm_processor::{MediaPolicy, ProcessorLimits, VideoWords};
use std::fmt;
use std::str::FromStr;

/// How a model is to be run. `Options::default()` suits the machine it runs on.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the model runs.
    pub device: Device,
    /// Number format of the weights and of the arithmetic.
    pub dtype: Dtype,
    /// LoRA adapters to merge into the weights, in this order.
    pub adapters: Vec<Adapter>,
    /// Threads for image processing, for decoding videos and for CPU devices; none means one per core.
    pub threads: Option<usize>,
    /// Tiles that go through the vision encoder at once. It bounds the encoder's memory: one 512x512 tile of the
    /// 256M model needs about 60 MB of activations in f32. None means one on processors, 32 on graphics cards.
    pub vision_batch: Option<usize>,
    /// Whether images are split into tiles; none leaves it to the checkpoint. Without splitting every image is one
    /// tile: many times faster, but small print is lost.
    pub image_splitting: Option<bool>,
    /// How far images may depart from the reference's tiles to save time.
    pub resize: ResizePolicy,
    /// Frames a second to sample from videos; none leaves it to the checkpoint.
    pub video_fps: Option<f64>,
    /// Most frames to sample from a video; none leaves it to the checkpoint. Of a folder or list of images without times, all are used
    /// unless this is set.
    pub video_frames: Option<u32>,
    /// What prompts say about videos.
    pub video_words: VideoWords,
    /// What happens to a conversation that is too long for the model's context.
    pub truncation: Truncation,
    /// Whether control tokens (`<image>`, `<end_of_utterance>`, ...) in the texts of conversations are plain characters. Off by
    /// default, as in the reference, where they then mean what the template's own mean; a [`Chat`](crate::Chat) always takes
    /// them for characters.
    pub sanitize_control_tokens: bool,
    /// Memory for the features of tiles seen last, so that the same picture is encoded once; 0 turns it off. 64 MiB by
    /// default: a tile of the 256M model takes 144 KiB in f32.
    pub feature_cache_bytes: usize,
    /// Which files, hosts and data conversations may name; all of them by default.
    pub media_policy: MediaPolicy,
    /// What images and videos may be at most; larger ones are refused before they are decoded.
    pub limits: ProcessorLimits,
}

/// Tiles at once on graphics cards, which one tile does not fill.
const CARD_VISION_BATCH: usize = 32;

impl Options {
    /// Tiles that go through the vision encoder at once on a device.
    pub(crate) fn vision_batch_on(&self, device: Device) -> usize {
        let default = if device.is_processor() { 1 } else { CARD_VISION_BATCH };
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
            video_words: VideoWords::default(),
            truncation: Truncation::default(),
            sanitize_control_tokens: false,
            feature_cache_bytes: 64 << 20,
            media_policy: MediaPolicy::default(),
            limits: ProcessorLimits::default(),
        }
    }
}

/// What happens to a conversation that is too long for the model's context. No image is ever cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Truncation {
    /// An error with the numbers.
    #[default]
    Refuse,
    /// The oldest messages are dropped, whole turns at a time; system messages at the start and the last message stay.
    DropOldest,
}

/// Number format of weights and arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Dtype {
    /// What is fastest on the device without changing the weights of released checkpoints, which are bf16: bf16 on a CPU with
    /// AVX512-BF16, f32 on others. [`SmolVlm::format`](crate::SmolVlm::format) tells which.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16: half the memory of f32, about three significant digits.
    Bf16,
    /// IEEE half floats.
    F16,
    /// On a CPU: 8-bit weights with a scale for each output, times 8-bit activations with a scale for each token.
    Q8,
    /// On a CPU: text weights of 4 bits with a scale for 32 of them, times 8-bit activations; vision as in `Q8`.
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

/// As [`Dtype::from_str`] reads it.
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
    /// How weights are kept on a device. On Flex they are packed for kernels of our own, but for f16; elsewhere they are
    /// tensors of a type that the device computes in, if it does.
    pub(crate) fn on(self, found: &Found) -> Result<WeightFormat, Error> {
        let device = found.info.device;
        let tensors = |float: FloatType| {
            let dtype = match float {
                FloatType::Bf16 => DType::BF16,
                FloatType::F16 => DType::F16,
                FloatType::F32 => DType::F32,
            };
            let computes = device != Device::NdArray || float == FloatType::F32;
            (computes && found.handle.supports_dtype(dtype)).then_some(WeightFormat::Tensors(float))
        };
        let format = match (device, self) {
            (Device::Flex, Self::F32) => Some(WeightFormat::Packed(Format::F32)),
            (Device::Flex, Self::Bf16) => Some(WeightFormat::Packed(Format::Bf16)),
            (Device::Flex, Self::Auto) => Some(WeightFormat::Packed(fastest_exact())),
            (Device::Flex, Self::Q8) => Some(WeightFormat::Packed(Format::Q8)),
            (Device::Flex, Self::Q4) => Some(WeightFormat::Packed(Format::Q4)),
            (_, Self::Q8 | Self::Q4) => None,
            (_, Self::F32) => tensors(FloatType::F32),
            (_, Self::Bf16) => tensors(FloatType::Bf16),
            (_, Self::F16) => tensors(FloatType::F16),
            // A processor converts bf16 back and forth for every product.
            (Device::CubeCpu, Self::Auto) => tensors(FloatType::F32),
            (_, Self::Auto) => tensors(FloatType::Bf16).or_else(|| tensors(FloatType::F32)),
        };
        format.ok_or(Error::NoDtype { dtype: self, device })
    }
}

/// The format that weights get: [`Dtype::Auto`] keeps the format of a quantized checkpoint where the device packs weights.
pub(crate) fn format_of(dtype: Dtype, format: WeightFormat, quantized: Option<Format>) -> WeightFormat {
    match (dtype, format, quantized) {
        (Dtype::Auto, WeightFormat::Packed(_), Some(quantized)) => WeightFormat::Packed(quantized),
        _ => format,
    }
}

/// The format in which bf16 weights lose nothing and products are fastest.
fn fastest_exact() -> Format {
    #[cfg(feature = "flex")]
    if smolvlm_kernels::cpu::Isa::current().bf16 {
        return Format::Bf16;
    }
    Format::F32
}
