//! Configuration of the steps from a decoded picture to pixel values, which images and frames of videos share.

use serde_json::{Value, json};

use crate::{
    Error, Resample, Size,
    check::{MAX_TILE_EDGE, at_least_one, at_most, in_range},
    json::{EDGE, Kind, NUMBER, Node},
};

/// Parameters of resizing, rescaling and normalization.
///
/// `Default` has the class defaults of transformers 5.24.0 (`SmolVLMImageProcessor`), which no released model uses
/// unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelConfig {
    /// Whether pictures in other color modes, or with transparency, are converted to RGB.
    pub do_convert_rgb: bool,
    /// Whether a picture is first resized to `size`.
    pub do_resize: bool,
    /// Target size of the first resize, before a picture is resized to tiles.
    pub size: Size,
    /// Resampling filter.
    pub resample: Resample,
    /// Edge of a tile in pixels.
    pub max_image_size: u32,
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
    /// Whether samples with fewer tiles or frames than others of a batch are padded.
    pub do_pad: bool,
}

impl Default for PixelConfig {
    fn default() -> Self {
        Self {
            do_convert_rgb: true,
            do_resize: true,
            size: Size::LongestEdge(4 * 364),
            resample: Resample::Lanczos,
            max_image_size: 364,
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            image_mean: [0.5; 3],
            image_std: [0.5; 3],
            do_pad: true,
        }
    }
}

/// A flag for which null means false, as in transformers 5.24.0.
pub(crate) const SWITCH: Kind<bool> =
    Kind { expected: "true or false", convert: |value| if value.is_null() { Some(false) } else { value.as_bool() } };

/// One number per color channel, or one for all.
const CHANNELS: Kind<[f64; 3]> = Kind {
    expected: "a list of three numbers, or one number",
    convert: |value| match value {
        Value::Array(list) => {
            let list: Option<Vec<f64>> = list.iter().map(NUMBER.convert).collect();
            list?.try_into().ok()
        }
        single => Some([(NUMBER.convert)(single)?; 3]),
    },
};

impl PixelConfig {
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        let default = Self::default();
        Ok(Self {
            do_convert_rgb: node.get("do_convert_rgb", SWITCH)?.unwrap_or(default.do_convert_rgb),
            do_resize: node.get("do_resize", SWITCH)?.unwrap_or(default.do_resize),
            size: Size::read(node, "size")?.unwrap_or(default.size),
            resample: Resample::read(node, "resample")?.unwrap_or(default.resample),
            max_image_size: read_tile(node)?.unwrap_or(default.max_image_size),
            do_rescale: node.get("do_rescale", SWITCH)?.unwrap_or(default.do_rescale),
            rescale_factor: node.get("rescale_factor", NUMBER)?.unwrap_or(default.rescale_factor),
            do_normalize: node.get("do_normalize", SWITCH)?.unwrap_or(default.do_normalize),
            image_mean: node.get("image_mean", CHANNELS)?.unwrap_or(default.image_mean),
            image_std: node.get("image_std", CHANNELS)?.unwrap_or(default.image_std),
            do_pad: node.get("do_pad", SWITCH)?.unwrap_or(default.do_pad),
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        json!({
            "do_convert_rgb": self.do_convert_rgb,
            "do_resize": self.do_resize,
            "size": self.size.to_value(),
            "resample": self.resample.number(),
            "max_image_size": {"longest_edge": self.max_image_size},
            "do_rescale": self.do_rescale,
            "rescale_factor": self.rescale_factor,
            "do_normalize": self.do_normalize,
            "image_mean": self.image_mean,
            "image_std": self.image_std,
            "do_pad": self.do_pad,
        })
    }

    /// Validates the values.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a size that is zero or too large, a factor or mean that is not finite, or a standard
    /// deviation of zero.
    pub fn validate(&self) -> Result<(), Error> {
        self.size.validate()?;
        let tile = self.max_image_size as usize;
        at_least_one(&[("max_image_size.longest_edge", tile)])?;
        at_most("max_image_size.longest_edge", tile, MAX_TILE_EDGE)?;
        let factor = self.rescale_factor;
        in_range("rescale_factor", factor, factor.is_finite(), "must be finite")?;
        for mean in self.image_mean {
            in_range("image_mean", mean, mean.is_finite(), "must be finite")?;
        }
        for std in self.image_std {
            in_range("image_std", std, std.is_finite() && std != 0.0, "must be finite and not 0")?;
        }
        Ok(())
    }
}

fn read_tile(node: &Node<'_>) -> Result<Option<u32>, Error> {
    let key = "max_image_size";
    let Some(value) = node.value(key) else {
        return Ok(None);
    };
    let size = node.object(key)?.ok_or_else(|| node.wrong(key, value, "an object with longest_edge"))?;
    match size.get("longest_edge", EDGE)? {
        Some(edge) => Ok(Some(edge)),
        None => Err(node.wrong(key, value, "an object with longest_edge")),
    }
}
