//! Configuration of the image processor.

use serde_json::{Value, json};

use crate::{
    Error, MAX_LONGEST_EDGE, PixelConfig, ResizePolicy, TilePlan,
    json::{self, Node, TEXT},
    pixels::SWITCH,
};

/// Parameters of image preprocessing.
///
/// `Default` has the class defaults of transformers 5.24.0 (`SmolVLMImageProcessor`), which no released model uses
/// unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageProcessorConfig {
    /// Resizing and normalization.
    pub pixels: PixelConfig,
    /// Whether images are split into tiles; otherwise they are resized to a single tile.
    pub do_image_splitting: bool,
    /// Allowed deviation of the tiles from the reference's. Not a key of the reference, which ignores it.
    pub resize_policy: ResizePolicy,
}

impl Default for ImageProcessorConfig {
    fn default() -> Self {
        Self { pixels: PixelConfig::default(), do_image_splitting: true, resize_policy: ResizePolicy::Faithful }
    }
}

impl ImageProcessorConfig {
    /// Parses and validates the text of a `preprocessor_config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] if the text is not JSON, [`Error::Type`] or [`Error::Unsupported`] with the key path of an
    /// invalid value, and the errors of [`validate`](Self::validate).
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let name = "image processor configuration";
        let value = json::parse(text, name)?;
        let config = Self::read(&Node::root(&value, name)?)?;
        config.validate()?;
        Ok(config)
    }

    /// Serializes the configuration to `preprocessor_config.json`. Parsing it gives an equal value.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", self.to_value())
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        check_type(node)?;
        let default = Self::default();
        Ok(Self {
            pixels: PixelConfig::read(node)?,
            do_image_splitting: node.get("do_image_splitting", SWITCH)?.unwrap_or(default.do_image_splitting),
            resize_policy: match node.nullable("resize_policy", TEXT)? {
                Some(name) => name.parse()?,
                None => default.resize_policy,
            },
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut value = self.pixels.to_value();
        if let Value::Object(map) = &mut value {
            map.insert("image_processor_type".to_owned(), json!("SmolVLMImageProcessor"));
            map.insert("do_image_splitting".to_owned(), json!(self.do_image_splitting));
            if self.resize_policy != ResizePolicy::Faithful {
                map.insert("resize_policy".to_owned(), json!(self.resize_policy.to_string()));
            }
        }
        value
    }

    /// Number of tiles of a large square image, including the global tile: the most of all images, unless
    /// [`ResizePolicy::MaxTiles`] allows more for another shape.
    pub fn max_tiles(&self) -> usize {
        // There is no plan for an invalid configuration, which cannot process any image.
        TilePlan::new(MAX_LONGEST_EDGE, MAX_LONGEST_EDGE, self).map_or(1, |plan| plan.grid.tiles())
    }

    /// Validates the values.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] as in [`PixelConfig::validate`].
    pub fn validate(&self) -> Result<(), Error> {
        self.pixels.validate()
    }
}

/// Rejects the processor of another model family. Older versions save the class with the suffix `Fast`.
fn check_type(node: &Node<'_>) -> Result<(), Error> {
    let key = "image_processor_type";
    match node.nullable(key, TEXT)? {
        Some(name) => match name.strip_suffix("Fast").or(name.strip_suffix("Pil")).unwrap_or(&name) {
            "SmolVLMImageProcessor" | "Idefics3ImageProcessor" => Ok(()),
            _ => Err(Error::unsupported(node.key(key), &name, "SmolVLMImageProcessor, Idefics3ImageProcessor")),
        },
        None => Ok(()),
    }
}
