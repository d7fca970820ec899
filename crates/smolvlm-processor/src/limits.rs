//! Resource limits of the processor.

use std::time::Duration;

/// Resource limits for untrusted input. Exceeding one results in a typed error that names it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessorLimits {
    /// Limits per image; `max_bytes` also applies to downloads and base64 data of images.
    pub image: smolvlm_image::Limits,
    /// Limits per video.
    pub video: smolvlm_video::Limits,
    /// Maximum size in bytes of a video held in memory: downloads and base64 data. 1 GiB by default; files are not held
    /// in memory.
    pub max_video_bytes: u64,
    /// Maximum size of the tokenizer file in bytes. 64 MiB by default; the released one has 3.5 MB.
    pub max_tokenizer_bytes: u64,
    /// Maximum text length of a prompt in bytes, before placeholder expansion. 1 MiB by default, which is more tokens
    /// than any released context length; it also bounds the memory of the tokenizer, about 150 times the text.
    pub max_prompt_bytes: usize,
    /// Maximum number of image tokens per prompt. 2^20 by default, far beyond any released context length.
    pub max_prompt_tokens: usize,
    /// Maximum number of tiles per batch. 2048 by default: 6.4 GB of pixels at 512 x 512.
    pub max_batch_tiles: usize,
    /// Work limit of one chat template rendering: roughly the number of template instructions, or of 64-byte units of
    /// text. One million by default.
    pub template_fuel: u64,
    /// Time limit of one download, from connecting to the last byte. 30 seconds by default.
    pub http_timeout: Duration,
    /// Maximum number of redirects per download. 5 by default.
    pub http_redirects: u32,
}

impl Default for ProcessorLimits {
    fn default() -> Self {
        Self {
            image: smolvlm_image::Limits::default(),
            video: smolvlm_video::Limits::default(),
            max_video_bytes: 1 << 30,
            max_tokenizer_bytes: 64 << 20,
            max_prompt_bytes: 1 << 20,
            max_prompt_tokens: 1 << 20,
            max_batch_tiles: 2048,
            template_fuel: 1_000_000,
            http_timeout: Duration::from_secs(30),
            http_redirects: 5,
        }
    }
}

/// Sets the limits of images and video frames; the others keep their defaults.
impl From<smolvlm_image::Limits> for ProcessorLimits {
    fn from(image: smolvlm_image::Limits) -> Self {
        let video = smolvlm_video::Limits { image: image.clone(), ..smolvlm_video::Limits::default() };
        Self { image, video, ..Self::default() }
    }
}
