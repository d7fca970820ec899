//! Configuration of the video processor.

use serde_json::{Value, json};

use crate::{
    Error, ImageProcessorConfig, PixelConfig, ResizePolicy, Size,
    check::non_negative,
    json::{self, COUNT, NUMBER, Node, TEXT},
    pixels::SWITCH,
};

/// Parameters of video preprocessing. Frames are never split: each one is a single tile.
///
/// `Default` has the class defaults of transformers 5.24.0 (`SmolVLMVideoProcessor`).
#[derive(Debug, Clone, PartialEq)]
pub struct VideoProcessorConfig {
    /// Resizing, to `size` and then to a tile, and normalization.
    pub pixels: PixelConfig,
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
        Self { pixels: PixelConfig::default(), do_sample_frames: false, fps: None, num_frames: None, skip_secs: 1.0 }
    }
}

impl VideoProcessorConfig {
    /// Parses and validates the text of a `video_preprocessor_config.json`.
    ///
    /// # Errors
    ///
    /// As [`ImageProcessorConfig::from_json`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let name = "video processor configuration";
        let value = json::parse(text, name)?;
        let config = Self::read(&Node::root(&value, name)?)?;
        config.validate()?;
        Ok(config)
    }

    /// Serializes the configuration to `video_preprocessor_config.json`. Parsing it gives an equal value.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", self.to_value())
    }

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
        let mut config = Self {
            pixels: PixelConfig::read(node)?,
            do_sample_frames: node.get("do_sample_frames", SWITCH)?.unwrap_or(false),
            fps: node.nullable("fps", NUMBER)?,
            num_frames: frames(node, "num_frames")?,
            skip_secs: node.nullable("skip_secs", NUMBER)?.unwrap_or(1.0),
        };
        if let Some(sampling) = node.object("video_sampling")? {
            let missing = |key: &str| Error::invalid(sampling.key(key), "is missing");
            config.fps = Some(sampling.get("fps", NUMBER)?.ok_or_else(|| missing("fps"))?);
            config.num_frames = Some(frames(&sampling, "max_frames")?.ok_or_else(|| missing("max_frames"))?);
            if node.value("size").is_none() {
                config.pixels.size = Size::read(&sampling, "video_size")?.ok_or_else(|| missing("video_size"))?;
            }
        }
        Ok(config)
    }

    /// Image parameters for one frame: an image that is not split.
    pub fn frame(&self) -> ImageProcessorConfig {
        ImageProcessorConfig {
            pixels: self.pixels.clone(),
            do_image_splitting: false,
            // A frame is always one tile.
            resize_policy: ResizePolicy::Faithful,
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut value = self.pixels.to_value();
        if let Value::Object(map) = &mut value {
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
    /// [`Error::Invalid`] as in [`PixelConfig::validate`], and for negative times.
    pub fn validate(&self) -> Result<(), Error> {
        self.pixels.validate()?;
        if let Some(fps) = self.fps {
            non_negative("fps", fps)?;
        }
        non_negative("skip_secs", self.skip_secs)
    }
}
