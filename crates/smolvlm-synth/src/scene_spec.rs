//! Scene specifications and their frequencies.

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

/// A family of scenes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// An image of shapes.
    Shapes,
    /// An image of printed text.
    Reading,
    /// A bar chart.
    Chart,
    /// Two images that differ.
    Pair,
    /// A clip.
    Clip,
    /// Text only.
    Words,
}

/// Percentage of mixed samples per family. [`Split::HeldOut`] has [`Family::Shapes`] only.
pub(crate) const MIX: [(Family, usize); 6] = [
    (Family::Shapes, 45),
    (Family::Reading, 20),
    (Family::Chart, 8),
    (Family::Pair, 10),
    (Family::Clip, 12),
    (Family::Words, 5),
];

impl Family {
    /// The family of scenes for a kind of question.
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

    /// Samples a family with the weights of [`MIX`].
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

/// The specification of a scene, before it is drawn.
pub(crate) enum SceneSpec {
    Shapes(Shapes),
    Reading(Reading),
    Chart(Chart),
    Pair(Pair),
    Clip(Clip),
    Words,
}

impl SceneSpec {
    /// A random scene of a family; `kind` selects the event of a clip, if any.
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

    /// Draws the images and clips.
    pub fn media(&self) -> Vec<Medium> {
        match self {
            Self::Shapes(spec) => spec.media(),
            Self::Reading(spec) => spec.media(),
            Self::Chart(spec) => spec.media(),
            Self::Pair(spec) => spec.media(),
            Self::Clip(spec) => spec.media(),
            Self::Words => Vec::new(),
        }
    }

    /// The facts to ask for. If an image contains a held-out combination, facts about a single shape are about that
    /// one.
    pub fn facts(&self, random: &mut Random) -> Vec<Fact> {
        match self {
            Self::Shapes(spec) => {
                let (mut facts, held_out) = (spec.facts(random), spec.held_out());
                let of_one = |kind| matches!(kind, Kind::Color | Kind::Shape | Kind::Place);
                let about = |fact: &Fact| fact.subject.is_some_and(|subject| held_out.contains(&subject));
                facts.retain(|fact| held_out.is_empty() || !of_one(fact.kind) || about(fact));
                facts
            }
            Self::Reading(spec) => spec.facts(),
            Self::Chart(spec) => spec.facts(),
            Self::Pair(spec) => spec.facts(),
            Self::Clip(spec) => spec.facts(),
            Self::Words => words::facts(random),
        }
    }
}
