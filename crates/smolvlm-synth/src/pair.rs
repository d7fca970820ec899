//! Two images of one scene with one difference.

use crate::background::Background;
use crate::color::{Color, Rgb};
use crate::fact::{Fact, sentence};
use crate::kind::Kind;
use crate::picture::Medium;
use crate::place::Place;
use crate::random::Random;
use crate::scene::{Item, Scene, SceneConstraints, with_article};
use crate::scene_facts;
use crate::shape::Shape;
use crate::split::Split;

/// Two images, the second with one change.
pub(crate) struct Pair {
    pub first: Scene,
    pub second: Scene,
    difference: String,
}

impl Pair {
    pub fn new(random: &mut Random, split: Split) -> Self {
        let count = random.between(2, 4);
        let constraints =
            SceneConstraints { width: 128, height: 128, count, radius: (9.0, 19.0), places: &Place::ALL, split };
        let mut first = Scene::new(random, constraints);
        let mut second = first.clone();
        // A held-out item is never changed, so that both images contain it.
        let free: Vec<usize> = (0..count).filter(|&index| !first.items[index].is_held_out()).collect();
        let changed = random.pick(&free);
        let before = first.items[changed];
        let others: Vec<Item> = first.items.iter().copied().filter(|item| item.place != before.place).collect();
        let difference = match random.below(4) {
            0 => {
                let after = before.repaint(random, &others, &Color::ALL, &[before.shape]);
                second.items[changed] = after;
                format!("The {} is now {}.", before.name(), after.color.name())
            }
            1 => {
                let after = before.repaint(random, &others, &[before.color], &Shape::ALL);
                second.items[changed] = after;
                format!("The {} is now {}.", before.name(), with_article(after.shape.name()))
            }
            2 => {
                second.items.remove(changed);
                format!("The {} is gone.", before.name())
            }
            _ => {
                first.items.remove(changed);
                format!("There is a new {}.", before.name())
            }
        };
        let colors: Vec<Rgb> = first.items.iter().chain(&second.items).map(Item::rgb).collect();
        first.background = Background::new(random, &colors, None);
        second.background = first.background;
        second.grain.seed = random.word();
        Self { first, second, difference }
    }

    pub fn media(&self) -> Vec<Medium> {
        vec![Medium::Image(self.first.draw()), Medium::Image(self.second.draw())]
    }

    pub fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![Fact::new(Kind::Difference, DIFFERENCE, &[], &self.difference[..])];
        for (which, scene) in [("first", &self.first), ("second", &self.second)] {
            let items = &scene.items;
            facts.push(Fact::new(Kind::Count, COUNT, &[which], items.len().to_string()).secondary());
            facts.push(Fact::new(Kind::Describe, DESCRIBE, &[which], scene_facts::description(items)).secondary());
            for (index, item) in items.iter().enumerate() {
                let (color, shape, place) = (item.color.name(), item.shape.name(), item.place.phrase());
                if items.iter().filter(|other| other.shape == item.shape).count() == 1 {
                    let fact = Fact::new(Kind::Color, COLOR, &[shape, which], sentence(color));
                    facts.push(fact.about(index).secondary());
                }
                let fact = Fact::new(Kind::Place, PLACE, &[&item.name(), which], sentence(place));
                facts.push(fact.about(index).secondary());
            }
        }
        facts
    }
}

const DIFFERENCE: &[&str] = &[
    "What is different in the second picture?",
    "What has changed in the second picture?",
    "What is the difference between the pictures?",
];
const COUNT: &[&str] = &["How many shapes are in the {} picture?", "Count the shapes in the {} picture."];
const DESCRIBE: &[&str] = &["Describe the {} picture.", "What is in the {} picture?"];
const COLOR: &[&str] = &["What colour is the {} in the {} picture?"];
const PLACE: &[&str] = &["Where is the {} in the {} picture?"];
