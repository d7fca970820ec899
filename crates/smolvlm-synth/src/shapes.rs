//! Images of shapes.

use crate::fact::Fact;
use crate::picture::Medium;
use crate::place::Place;
use crate::random::Random;
use crate::scene::{Scene, SceneConstraints, any_count};
use crate::scene_facts;
use crate::split::Split;

/// An image of shapes.
pub(crate) struct Shapes(pub Scene);

impl Shapes {
    pub fn new(random: &mut Random, split: Split) -> Self {
        let (width, height) = any_size(random);
        let count = any_count(random);
        // Fewer shapes can be larger, but none so large that the border pushes its center toward the next cell.
        let largest: f32 = [28.0, 26.0, 24.0, 21.0, 19.0][count - 1];
        let largest = if width == height { largest } else { largest.min(20.0) };
        let constraints = SceneConstraints { width, height, count, radius: (8.0, largest), places: &Place::ALL, split };
        Self(Scene::new(random, constraints))
    }

    /// One shape, large relative to a small image.
    pub fn single(random: &mut Random, split: Split) -> Self {
        let constraints =
            SceneConstraints { width: 64, height: 64, count: 1, radius: (6.0, 14.0), places: &Place::ALL, split };
        Self(Scene::new(random, constraints))
    }

    pub fn media(&self) -> Vec<Medium> {
        vec![Medium::Image(self.0.draw())]
    }

    pub fn facts(&self, random: &mut Random) -> Vec<Fact> {
        let items = &self.0.items;
        let mut facts = scene_facts::each(items);
        facts.push(scene_facts::describe(items));
        facts.extend(scene_facts::counts(random, items));
        facts.extend(scene_facts::relations(items));
        facts
    }

    /// The numbers of the held-out items.
    pub fn held_out(&self) -> Vec<usize> {
        (0..self.0.items.len()).filter(|&index| self.0.items[index].is_held_out()).collect()
    }
}

/// Width and height of a still: one in 16 is not square.
fn any_size(random: &mut Random) -> (usize, usize) {
    match random.below(32) {
        0 => (128, 96),
        1 => (96, 128),
        _ => (128, 128),
    }
}
