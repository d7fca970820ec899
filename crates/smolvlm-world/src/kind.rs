//! What a question is about.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Every shape of a picture in reading order.
    Describe,
    /// How many there are.
    Count,
    /// What color something has.
    Color,
    /// What shape something has.
    Shape,
    /// Where in the picture something is.
    Place,
    /// What is beside, above or below something.
    Relation,
    /// What is printed in the picture.
    Read,
    /// What a bar chart says.
    Chart,
    /// What differs between two pictures.
    Difference,
    /// Which way something moves.
    Motion,
    /// When something changes color, and from what to what.
    Change,
    /// What appears, and when.
    Appear,
    /// Language alone, without a picture.
    Text,
}

impl Kind {
    /// All of them.
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

    /// Its name in lower case, which [`FromStr`] reads.
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
