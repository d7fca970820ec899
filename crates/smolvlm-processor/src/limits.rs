//! Bounds on what the processor reads and builds.

use std::time::Duration;

/// Bounds for input that may come from anywhere. Every one ends in a typed error that names it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessorLimits {
    /// Bounds of each image; `max_bytes` also bounds downloads and base64 data of images.
    pub image: smolvlm_image::Limits,
    /// Bounds of each video.
    pub video: smolvlm_video::Limits,
    /// Largest video that is held in memory: downloads and base64 data. 1 GiB by default; files are not held.
    pub max_video_bytes: u64,
    /// Largest tokenizer file, in bytes. 64 MiB by default; the released one has 3.5 MB.
    pub max_tokenizer_bytes: u64,
    /// Most bytes of text in one prompt, before its media are expanded. 1 MiB by default: more tokens than any released
    /// context holds, and a bound for the tokenizer, which takes about 150 times as much memory.
    pub max_prompt_bytes: usize,
    /// Most image tokens in one prompt. 2^20 by default, far beyond any released context.
    pub max_prompt_tokens: usize,
    /// Most tiles in one batch. 2048 by default: 6.4 GB of pixels at 512 x 512.
    pub max_batch_tiles: usize,
    /// Work of one chat template rendering: about as many template instructions, or 64 times as many bytes of text.
    /// One million by default.
    pub template_fuel: u64,
    /// Time for one download, from connecting to the last byte. 30 seconds by default.
    pub http_timeout: Duration,
    /// Most redirects of one download. 5 by default.
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

/// Limits for images and the frames of videos; the others at their defaults.
impl From<smolvlm_image::Limits> for ProcessorLimits {
    fn from(image: smolvlm_image::Limits) -> Self {
        let video = smolvlm_video::Limits { image: image.clone(), ..smolvlm_video::Limits::default() };
        Self { image, video, ..Self::default() }
    }
}
