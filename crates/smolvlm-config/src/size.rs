//! Target sizes and resampling filters of the image and video processors.

use serde_json::{Value, json};

use crate::{
    Error,
    check::{at_least_one, at_most},
    json::{COUNT, EDGE, Node, shorten},
};

/// Maximum side of an exact size in pixels.
const MAX_EXACT_SIDE: usize = 1 << 16;

/// Target size of the first resize, before the image is split into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// The longest side is scaled up or down to this length, keeping the aspect ratio.
    LongestEdge(u32),
    /// Exactly this size, whatever the aspect ratio of the image.
    Exact {
        /// Height in pixels.
        height: u32,
        /// Width in pixels.
        width: u32,
    },
}

impl Size {
    /// Parses `{"longest_edge"}`, `{"height", "width"}`, `[height, width]` or one length for a square.
    ///
    /// `longest_edge` may be combined with `shortest_edge`, which is then ignored, as in transformers 5.24.0.
    pub(crate) fn read(node: &Node<'_>, key: &str) -> Result<Option<Self>, Error> {
        const EXPECTED: &str = "an object with longest_edge or height and width, a list [height, width], or an integer, all from 1 to 2147483647";
        let Some(value) = node.value(key) else {
            return Ok(None);
        };
        let exact = |height: &Value, width: &Value| {
            Some(Size::Exact { height: (EDGE.convert)(height)?, width: (EDGE.convert)(width)? })
        };
        let size = match value {
            Value::Number(_) => exact(value, value),
            Value::Array(list) => match list.as_slice() {
                [height, width] => exact(height, width),
                _ => None,
            },
            Value::Object(_) => return Self::read_object(node, key),
            _ => None,
        };
        size.map(Some).ok_or_else(|| node.wrong(key, value, EXPECTED))
    }

    fn read_object(node: &Node<'_>, key: &str) -> Result<Option<Self>, Error> {
        let Some(size) = node.object(key)? else {
            return Ok(None);
        };
        let mut keys: Vec<&str> = size.keys().collect();
        keys.sort_unstable();
        match keys.as_slice() {
            ["longest_edge"] | ["longest_edge", "shortest_edge"] => {
                Ok(size.get("longest_edge", EDGE)?.map(Size::LongestEdge))
            }
            ["height", "width"] => {
                let (height, width) = (size.get("height", EDGE)?, size.get("width", EDGE)?);
                Ok(height.zip(width).map(|(height, width)| Size::Exact { height, width }))
            }
            _ => Err(Error::invalid(
                node.key(key),
                format!(
                    "must hold either longest_edge or height and width, holds {}",
                    if keys.is_empty() { "nothing".to_owned() } else { shorten(&keys.join(", ")) }
                ),
            )),
        }
    }

    pub(crate) fn to_value(self) -> Value {
        match self {
            Size::LongestEdge(edge) => json!({"longest_edge": edge}),
            Size::Exact { height, width } => json!({"height": height, "width": width}),
        }
    }

    /// Checks that lengths are not zero, and that an exact size is within limits.
    pub(crate) fn validate(self) -> Result<(), Error> {
        match self {
            Size::LongestEdge(edge) => at_least_one(&[("size.longest_edge", edge as usize)]),
            Size::Exact { height, width } => {
                for (what, side) in [("size.height", height as usize), ("size.width", width as usize)] {
                    at_least_one(&[(what, side)])?;
                    at_most(what, side, MAX_EXACT_SIDE)?;
                }
                Ok(())
            }
        }
    }
}

/// A resampling filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resample {
    /// The nearest pixel, 0 in JSON.
    Nearest,
    /// Lanczos with three lobes, 1 in JSON. The released models use it.
    Lanczos,
    /// Linear interpolation, 2 in JSON.
    Bilinear,
    /// Cubic interpolation, 3 in JSON.
    Bicubic,
    /// The mean of the covered pixels, 4 in JSON.
    Box,
    /// The Hamming window, 5 in JSON.
    Hamming,
}

impl Resample {
    const ALL: [Resample; 6] =
        [Resample::Nearest, Resample::Lanczos, Resample::Bilinear, Resample::Bicubic, Resample::Box, Resample::Hamming];

    pub(crate) fn read(node: &Node<'_>, key: &str) -> Result<Option<Self>, Error> {
        let Some(number) = node.get(key, COUNT)? else {
            return Ok(None);
        };
        match Self::ALL.get(number) {
            Some(resample) => Ok(Some(*resample)),
            None => Err(Error::unsupported(
                node.key(key),
                &number.to_string(),
                "0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming",
            )),
        }
    }

    /// The number used in configuration files.
    pub fn number(self) -> u8 {
        self as u8
    }
}
