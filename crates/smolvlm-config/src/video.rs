//! Configuration of the video processor.

use serde_json::{Value, json};

use crate::{
    Error, ImageProcessorConfig, Resample, ResizePolicy, Size,
    check::non_negative,
    image::SWITCH,
    json::{COUNT, NUMBER, Node, TEXT},
};

/// Parameters of video preprocessing. Frames are never split: each one is a single tile.
///
/// `Default` has the class defaults of transformers 5.24.0 (`SmolVLMVideoProcessor`).
#[derive(Debug, Clone, PartialEq)]
pub struct VideoProcessorConfig {
    /// Whether frames in other color modes, or with transparency, are converted to RGB.
    pub do_convert_rgb: bool,
    /// Whether frames are resized to `size`, then to a tile. Otherwise they keep their size.
    pub do_resize: bool,
    /// Target size of the first resize, before a frame is resized to a tile.
    pub size: Size,
    /// Edge of a tile in pixels.
    pub max_image_size: u32,
    /// Resampling filter.
    pub resample: Resample,
    /// Whether pixel values (0 to 255) are multiplied by `rescale_factor`.
    pub do_rescale: bool,
    /// Factor of the pixel values.
    pub rescale_factor: f64,
    /// Whether pixel values are normalized with `image_mean` and `image_std`.
    pub do_normalize: bool,
    /// Mean of the red, green and blue channel.
    pub image_mean: [f64; 3],
    /// Standard deviation of the red, green and blue channel.
    pub image_std: [f64; 3],
    /// Whether videos with fewer frames than others of a batch are padded.
    pub do_pad: bool,
    /// Whether frames are sampled by default. Chat prompts always sample.
    pub do_sample_frames: bool,
    /// Frames per second to sample.
    pub fps: Option<f64>,
    /// Maximum number of frames to sample.
    pub num_frames: Option<u32>,
    /// Seconds to skip at both ends of a video that is long enough.
    pub skip_secs: f64,
}

impl Default for VideoProcessorConfig {
    fn default() -> Self {
        Self::of(ImageProcessorConfig::default())
    }
}

impl VideoProcessorConfig {
    /// Reads a video section, or the image section that it falls back to.
    ///
    /// The legacy object `video_sampling {fps, max_frames, video_size}` overrides `fps` and `num_frames`, and sets
    /// `size` unless that key is present, too.
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        let type_key = "video_processor_type";
        if let Some(name) = node.nullable(type_key, TEXT)?.filter(|name| name != "SmolVLMVideoProcessor") {
            return Err(Error::unsupported(node.key(type_key), &name, "SmolVLMVideoProcessor"));
        }
        let frames = |node: &Node<'_>, key: &str| Ok(node.nullable(key, COUNT)?.map(|frames| frames as u32));
        let mut config = VideoProcessorConfig {
            do_sample_frames: node.get("do_sample_frames", SWITCH)?.unwrap_or(false),
            fps: node.nullable("fps", NUMBER)?,
            num_frames: frames(node, "num_frames")?,
            skip_secs: node.nullable("skip_secs", NUMBER)?.unwrap_or(1.0),
            ..Self::of(ImageProcessorConfig::read_fields(node)?)
        };
        if let Some(sampling) = node.object("video_sampling")? {
            let missing = |key: &str| Error::invalid(sampling.key(key), "is missing");
            config.fps = Some(sampling.get("fps", NUMBER)?.ok_or_else(|| missing("fps"))?);
            config.num_frames = Some(frames(&sampling, "max_frames")?.ok_or_else(|| missing("max_frames"))?);
            if node.value("size").is_none() {
                config.size = Size::read(&sampling, "video_size")?.ok_or_else(|| missing("video_size"))?;
            }
        }
        Ok(config)
    }

    fn of(image: ImageProcessorConfig) -> Self {
        VideoProcessorConfig {
            do_convert_rgb: image.do_convert_rgb,
            do_resize: image.do_resize,
            size: image.size,
            max_image_size: image.max_image_size,
            resample: image.resample,
            do_rescale: image.do_rescale,
            rescale_factor: image.rescale_factor,
            do_normalize: image.do_normalize,
            image_mean: image.image_mean,
            image_std: image.image_std,
            do_pad: image.do_pad,
            do_sample_frames: false,
            fps: None,
            num_frames: None,
            skip_secs: 1.0,
        }
    }

    /// Image parameters for one frame: an image that is not split.
    pub fn frame(&self) -> ImageProcessorConfig {
        ImageProcessorConfig {
            do_convert_rgb: self.do_convert_rgb,
            do_resize: self.do_resize,
            size: self.size,
            resample: self.resample,
            do_image_splitting: false,
            max_image_size: self.max_image_size,
            // A frame is always one tile.
            resize_policy: ResizePolicy::Faithful,
            do_rescale: self.do_rescale,
            rescale_factor: self.rescale_factor,
            do_normalize: self.do_normalize,
            image_mean: self.image_mean,
            image_std: self.image_std,
            do_pad: self.do_pad,
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut value = self.frame().to_value();
        if let Value::Object(map) = &mut value {
            map.remove("image_processor_type");
            map.remove("do_image_splitting");
            map.insert("video_processor_type".to_owned(), json!("SmolVLMVideoProcessor"));
            map.insert("do_sample_frames".to_owned(), json!(self.do_sample_frames));
            map.insert("fps".to_owned(), json!(self.fps));
            map.insert("num_frames".to_owned(), json!(self.num_frames));
            map.insert("skip_secs".to_owned(), json!(self.skip_secs));
        }
        value
    }

    /// Validates the values.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] as in [`ImageProcessorConfig::validate`], and for negative times.
    pub fn validate(&self) -> Result<(), Error> {
        self.frame().validate()?;
        if let Some(fps) = self.fps {
            non_negative("fps", fps)?;
        }
        non_negative("skip_secs", self.skip_secs)
    }
}
