//! What a sample shows, and how often.

use crate::chart::Chart;
use crate::clip::Clip;
use crate::fact::Fact;
use crate::kind::Kind;
use crate::pair::Pair;
use crate::picture::Medium;
use crate::random::Random;
use crate::reading::Reading;
use crate::shapes::Shapes;
use crate::split::Split;
use crate::words;

/// A family of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// A still of shapes.
    Shapes,
    /// A still of printed text.
    Reading,
    /// A bar chart.
    Chart,
    /// Two stills that differ.
    Pair,
    /// A clip.
    Clip,
    /// Nothing to look at.
    Words,
}

/// How many of 100 lessons are of each family. [`Split::HeldOut`] has [`Family::Shapes`] only.
pub(crate) const MIX: [(Family, usize); 6] = [
    (Family::Shapes, 45),
    (Family::Reading, 20),
    (Family::Chart, 8),
    (Family::Pair, 10),
    (Family::Clip, 12),
    (Family::Words, 5),
];

impl Family {
    /// The family whose samples a kind of question is asked about.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Describe | Kind::Count | Kind::Color | Kind::Shape | Kind::Place | Kind::Relation => Self::Shapes,
            Kind::Read => Self::Reading,
            Kind::Chart => Self::Chart,
            Kind::Difference => Self::Pair,
            Kind::Motion | Kind::Change | Kind::Appear => Self::Clip,
            Kind::Text => Self::Words,
        }
    }

    /// One by the weights of [`MIX`].
    pub fn any(random: &mut Random, split: Split) -> Self {
        if split == Split::HeldOut {
            return Self::Shapes;
        }
        let mut left = random.below(MIX.iter().map(|(_, weight)| weight).sum());
        for (family, weight) in MIX {
            if left < weight {
                return family;
            }
            left -= weight;
        }
        Self::Shapes
    }
}

/// What a sample shows.
pub(crate) enum Story {
    Shapes(Shapes),
    Reading(Reading),
    Chart(Chart),
    Pair(Pair),
    Clip(Clip),
    Words,
}

impl Story {
    /// One of a family; `kind` says which event a clip is to have, if it says any.
    pub fn new(random: &mut Random, split: Split, family: Family, kind: Option<Kind>) -> Self {
        match family {
            Family::Shapes => Self::Shapes(Shapes::new(random, split)),
            Family::Reading => Self::Reading(Reading::new(random, split)),
            Family::Chart => Self::Chart(Chart::new(random)),
            Family::Pair => Self::Pair(Pair::new(random, split)),
            Family::Clip => Self::Clip(Clip::new(random, split, kind)),
            Family::Words => Self::Words,
        }
    }

    /// What there is to look at.
    pub fn media(&self) -> Vec<Medium> {
        match self {
            Self::Shapes(story) => story.media(),
            Self::Reading(story) => story.media(),
            Self::Chart(story) => story.media(),
            Self::Pair(story) => story.media(),
            Self::Clip(story) => story.media(),
            Self::Words => Vec::new(),
        }
    }

    /// What can be asked. Where a still shows a held-out combination, what is asked about a single shape is about that.
    pub fn facts(&self, random: &mut Random) -> Vec<Fact> {
        match self {
            Self::Shapes(story) => {
                let (mut facts, held_out) = (story.facts(random), story.held_out());
                let of_one = |kind| matches!(kind, Kind::Color | Kind::Shape | Kind::Place);
                let about = |fact: &Fact| fact.subject.is_some_and(|subject| held_out.contains(&subject));
                facts.retain(|fact| held_out.is_empty() || !of_one(fact.kind) || about(fact));
                facts
            }
            Self::Reading(story) => story.facts(),
            Self::Chart(story) => story.facts(),
            Self::Pair(story) => story.facts(),
            Self::Clip(story) => story.facts(),
            Self::Words => words::facts(random),
        }
    }
}
