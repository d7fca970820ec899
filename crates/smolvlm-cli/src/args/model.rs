//! Arguments that select a model and its options.

use crate::say;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use smolvlm::{
    Adapter, Device, Dtype, FeatureCacheOptions, Options, Preset, ProcessorLimits, ResizePolicy, Truncation,
    VideoPromptStyle,
};
use std::path::PathBuf;

/// The default checkpoint, the smallest released one.
const DEFAULT_MODEL: &str = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct";

/// Arguments that select a model and its options.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct Model {
    /// Checkpoint folder, or adapter folder whose configuration names the base model; GGUF file of the text model, or
    /// folder with it and its mmproj file; demo, a small embedded model; or owner/name or owner/name@revision on the
    /// Hugging Face Hub, of GGUF files also owner/name:TYPE, as in owner/name:Q8_0
    #[arg(long, value_name = "DIR|FILE|HUB_ID", default_value = DEFAULT_MODEL)]
    pub model: String,
    /// GGUF file of vision encoder and connector, for a text model in GGUF; without it, the model takes text only
    #[arg(long, value_name = "FILE", conflicts_with = "random")]
    pub mmproj: Option<PathBuf>,
    /// Random weights of this size instead of a checkpoint: 256m, 500m, 2.2b or tiny
    #[arg(long, value_name = "PRESET", conflicts_with = "model")]
    pub random: Option<Preset>,
    /// LoRA adapter to merge into the weights: a folder written by PEFT or `smolvlm train --lora`, optionally with a
    /// weight as DIR=WEIGHT; repeatable
    #[arg(long, value_name = "DIR[=WEIGHT]")]
    pub adapter: Vec<Adapter>,
    /// Device: auto, cpu (flex), ndarray, cubecl-cpu, or cuda, vulkan, metal, webgpu or wgpu, alone or numbered as in
    /// cuda:1; `smolvlm devices` lists the available ones
    #[arg(long, env = "SMOLVLM_DEVICE", default_value = "auto", value_parser = device)]
    pub device: Device,
    /// Number format: auto, f32, bf16, f16, q8 (8-bit weights) or q4 (4-bit text weights); auto keeps the format of a
    /// quantized checkpoint or GGUF file on a CPU, otherwise it is bf16 on GPUs that support it and on CPUs with
    /// AVX512-BF16 or FEAT_BF16 (ARM64), else f32. bf16 rounds f32 checkpoints
    #[arg(long, default_value = "auto")]
    pub dtype: Dtype,
    /// Number of threads [default: one per physical core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// One tile per image: much faster, but small text is lost
    #[arg(long)]
    pub no_image_splitting: bool,
    /// Image resizing: faithful (as the reference), no-upscale (small images are not enlarged), max-tiles=N or
    /// global-only
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub resize: ResizePolicy,
    /// Frames per second to sample from videos [default: the checkpoint's]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub video_fps: Option<f64>,
    /// Maximum number of frames to sample from a video or a folder of images [default: the checkpoint's; all images of
    /// a folder]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub video_frames: Option<u32>,
    /// Frame count in video prompts: each video's own, or, as in the reference, the largest of the batch
    #[arg(long, default_value = "per-video", value_parser = video_prompt_style())]
    pub video_prompt_style: VideoPromptStyle,
    /// Maximum number of pixels of an image or frame, width times height [default: 178956970; of `serve`:
    /// 40000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_image_pixels: Option<u64>,
    /// Maximum width and height of an image or frame [default: 1048576; of `serve`: 65536]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_image_side: Option<u32>,
    /// Folder to cache features of images and frames in: those that were asked about before, also by other processes,
    /// are not encoded again. The files reveal what the images show
    #[arg(long, value_name = "DIR")]
    pub feature_cache: Option<PathBuf>,
    /// Maximum size of the feature cache in MiB; the least recently used features are deleted
    #[arg(long, value_name = "N", default_value_t = 1024, requires = "feature_cache")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub feature_cache_size: u32,
    /// Drop the oldest turns of a conversation that is too long for the model, instead of rejecting it. `process` and
    /// `estimate` always use the full conversation
    #[arg(long)]
    pub truncate: bool,
    /// Treat control tokens in texts, such as `<image>` and `<end_of_utterance>`, as plain text. Always on in
    /// `describe`, `chat`, `decide` and `serve`, and in `batch` for conversations of columns
    #[arg(long)]
    pub sanitize_control_tokens: bool,
}

/// Parses a device; an empty string, as from an empty environment variable, is the default.
fn device(text: &str) -> Result<Device, smolvlm::Error> {
    if text.is_empty() { Ok(Device::Auto) } else { text.parse() }
}

fn video_prompt_style() -> impl TypedValueParser<Value = VideoPromptStyle> {
    PossibleValuesParser::new(["per-video", "reference"]).map(|style| match style.as_str() {
        "reference" => VideoPromptStyle::Reference,
        _ => VideoPromptStyle::PerVideo,
    })
}

impl Model {
    /// The options of loading and running the model.
    pub fn options(&self) -> Options {
        Options {
            device: self.device,
            dtype: self.dtype,
            adapters: self.adapter.clone(),
            threads: self.threads.map(usize::from),
            image_splitting: self.no_image_splitting.then_some(false),
            resize: self.resize,
            video_fps: self.video_fps,
            video_frames: self.video_frames,
            video_prompt_style: self.video_prompt_style,
            sanitize_control_tokens: self.sanitize_control_tokens,
            truncation: if self.truncate { Truncation::DropOldest } else { Truncation::Refuse },
            limits: self.limits(),
            feature_cache: self.feature_cache(),
            ..Options::default()
        }
    }

    fn feature_cache(&self) -> Option<FeatureCacheOptions> {
        let cache = FeatureCacheOptions::new(self.feature_cache.as_ref()?);
        Some(cache.max_bytes(u64::from(self.feature_cache_size) << 20).on_warning(|text| say::note(text)))
    }

    /// The size limits of images and videos.
    fn limits(&self) -> ProcessorLimits {
        let mut limits = ProcessorLimits::default();
        self.set_image_limits(&mut limits);
        limits
    }

    /// Sets those limits of images and frames that are given as arguments.
    pub fn set_image_limits(&self, limits: &mut ProcessorLimits) {
        for image in [&mut limits.image, &mut limits.video.image] {
            image.max_pixels = self.max_image_pixels.unwrap_or(image.max_pixels);
            image.max_width = self.max_image_side.unwrap_or(image.max_width);
            image.max_height = self.max_image_side.unwrap_or(image.max_height);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Model;
    use clap::{Args, Command, FromArgMatches};

    #[test]
    fn size_of_the_feature_cache_is_in_mib() {
        let options = |args: &[&str]| {
            let matches = Model::augment_args(Command::new("model")).try_get_matches_from(args).unwrap();
            Model::from_arg_matches(&matches).unwrap().options()
        };
        let bytes = |args: &[&str]| options(args).feature_cache.map(|cache| cache.max_bytes);
        assert_eq!(bytes(&["model"]), None);
        assert_eq!(bytes(&["model", "--feature-cache", "dir"]), Some(1 << 30));
        assert_eq!(bytes(&["model", "--feature-cache", "dir", "--feature-cache-size", "5"]), Some(5 << 20));
    }
}
