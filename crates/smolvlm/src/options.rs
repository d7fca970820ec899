//! How a model is to be run.

use crate::Error;
use smolvlm_config::{FloatType, ResizePolicy};
use smolvlm_kernels::Format;
use smolvlm_model::WeightFormat;
use smolvlm_processor::{ProcessorLimits, VideoWords};
use std::str::FromStr;

/// How a model is to be run. `Options::default()` suits the machine it runs on.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the model runs.
    pub device: Device,
    /// Number format of the weights and of the arithmetic.
    pub dtype: Dtype,
    /// Threads for image processing and for CPU devices; none means one per core.
    pub threads: Option<usize>,
    /// Tiles that go through the vision encoder at once. It bounds the encoder's memory: one 512x512 tile of the
    /// 256M model needs about 60 MB of activations in f32.
    pub vision_batch: usize,
    /// Whether images are split into tiles; none leaves it to the checkpoint. Without splitting every image is one
    /// tile: many times faster, but small print is lost.
    pub image_splitting: Option<bool>,
    /// How far images may depart from the reference's tiles to save time.
    pub resize: ResizePolicy,
    /// Frames a second to sample from videos; none leaves it to the checkpoint.
    pub video_fps: Option<f64>,
    /// Most frames to sample from a video; none leaves it to the checkpoint.
    pub video_frames: Option<u32>,
    /// What prompts say about videos.
    pub video_words: VideoWords,
    /// What happens to a conversation that is too long for the model's context.
    pub truncation: Truncation,
    /// Memory for the features of tiles seen last, so that the same picture is encoded once; 0 turns it off. 64 MiB by
    /// default: a tile of the 256M model takes 144 KiB in f32.
    pub feature_cache_bytes: usize,
    /// What images and videos may be at most; larger ones are refused before they are decoded.
    pub limits: ProcessorLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device: Device::Auto,
            dtype: Dtype::Auto,
            threads: None,
            vision_batch: 1,
            image_splitting: None,
            resize: ResizePolicy::default(),
            video_fps: None,
            video_frames: None,
            video_words: VideoWords::default(),
            truncation: Truncation::default(),
            feature_cache_bytes: 64 << 20,
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

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The best device that this build has.
    #[default]
    Auto,
    /// Burn's pure Rust CPU backend (feature `flex`).
    Flex,
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "flex" | "cpu" => Ok(Self::Flex),
            _ => Err(Error::Option { option: "device", value: text.into(), legal: "auto, flex or cpu" }),
        }
    }
}

impl Device {
    pub(crate) fn is_cpu(self) -> bool {
        matches!(self, Self::Auto | Self::Flex)
    }

    /// Burn's device for this choice; an error if the build lacks its backend.
    pub(crate) fn resolve(self) -> Result<burn::tensor::Device, Error> {
        match self {
            #[cfg(feature = "flex")]
            Self::Auto | Self::Flex => Ok(burn::tensor::Device::flex()),
            #[cfg(not(feature = "flex"))]
            Self::Auto | Self::Flex => Err(Error::NoBackend { device: self }),
        }
    }
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

impl Dtype {
    /// How weights are kept on a device. On Burn's CPU backend they are packed for kernels of our own, but for f16.
    pub(crate) fn on_device(self, device: Device) -> WeightFormat {
        match self {
            Self::F16 => WeightFormat::Tensors(FloatType::F16),
            Self::Q8 => WeightFormat::Packed(Format::Q8),
            Self::Q4 => WeightFormat::Packed(Format::Q4),
            _ if !device.is_cpu() => WeightFormat::Tensors(match self {
                Self::Bf16 => FloatType::Bf16,
                _ => FloatType::F32,
            }),
            Self::F32 => WeightFormat::Packed(Format::F32),
            Self::Bf16 => WeightFormat::Packed(Format::Bf16),
            Self::Auto => WeightFormat::Packed(fastest_exact()),
        }
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
