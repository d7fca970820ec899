//! Kinds of questions.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The kind of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// All shapes of an image in reading order.
    Describe,
    /// The number of shapes or characters.
    Count,
    /// The color of something.
    Color,
    /// The shape of something.
    Shape,
    /// The position of something in the image.
    Place,
    /// The shape beside, above or below another.
    Relation,
    /// The text printed in the image.
    Read,
    /// The contents of a bar chart.
    Chart,
    /// The difference between two images.
    Difference,
    /// The direction in which something moves.
    Motion,
    /// The time at which something changes color, and its colors before and after.
    Change,
    /// The shape that appears, and the time.
    Appear,
    /// Text only, without an image.
    Text,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Describe,
        Self::Count,
        Self::Color,
        Self::Shape,
        Self::Place,
        Self::Relation,
        Self::Read,
        Self::Chart,
        Self::Difference,
        Self::Motion,
        Self::Change,
        Self::Appear,
        Self::Text,
    ];

    /// The lowercase name, which [`FromStr`] parses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Count => "count",
            Self::Color => "colour",
            Self::Shape => "shape",
            Self::Place => "place",
            Self::Relation => "relation",
            Self::Read => "read",
            Self::Chart => "chart",
            Self::Difference => "difference",
            Self::Motion => "motion",
            Self::Change => "change",
            Self::Appear => "appear",
            Self::Text => "text",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| Error::UnknownKind { text: text.to_owned() })
    }
}
