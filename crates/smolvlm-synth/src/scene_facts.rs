//! Facts about shapes in an image.

use crate::color::Color;
use crate::fact::{Fact, sentence};
use crate::kind::Kind;
use crate::place::Place;
use crate::random::Random;
use crate::scene::Item;
use crate::shape::Shape;

/// Facts about the color, shape and place of each shape, in reading order.
pub(crate) fn each(items: &[Item]) -> Vec<Fact> {
    let mut facts = Vec::with_capacity(5 * items.len());
    for (index, item) in items.iter().enumerate() {
        let (color, shape, place) = (item.color.name(), item.shape.name(), item.place.phrase());
        let mut add = |kind, forms, words: &[&str], answer: &str| {
            facts.push(Fact::new(kind, forms, words, sentence(answer)).about(index));
        };
        add(Kind::Color, COLOR_AT, &[place], color);
        add(Kind::Shape, SHAPE_AT, &[place], shape);
        if items.iter().filter(|other| other.shape == item.shape).count() == 1 {
            add(Kind::Color, COLOR_OF, &[shape], color);
            add(Kind::Place, PLACE_OF, &[shape], place);
        }
        if items.iter().filter(|other| other.color == item.color).count() == 1 {
            add(Kind::Shape, SHAPE_OF, &[color], shape);
        }
        add(Kind::Place, PLACE_OF, &[&item.name()], place);
    }
    facts
}

/// Counts of all shapes, of each color and shape that occurs several times, of some that occur once, and of a color and
/// a shape that may be absent. The selection keeps answers from being 1 nearly always.
pub(crate) fn counts(random: &mut Random, items: &[Item]) -> Vec<Fact> {
    let mut facts = vec![Fact::new(Kind::Count, COUNT, &[], items.len().to_string())];
    let (any_color, any_shape) = (random.pick(&Color::ALL), random.pick(&Shape::ALL));
    for color in Color::ALL {
        let count = items.iter().filter(|item| item.color == color).count();
        if count > 1 || count == 1 && random.percent(40) || color == any_color {
            facts.push(Fact::new(Kind::Count, COUNT_COLOR, &[color.name()], count.to_string()));
        }
    }
    for shape in Shape::ALL {
        let count = items.iter().filter(|item| item.shape == shape).count();
        if count > 1 || count == 1 && random.percent(40) || shape == any_shape {
            facts.push(Fact::new(Kind::Count, COUNT_SHAPE, &[shape.plural()], count.to_string()));
        }
    }
    facts
}

/// The shapes left of, right of, above and below each shape, if there is exactly one on that side in the same row or
/// column of the grid.
pub(crate) fn relations(items: &[Item]) -> Vec<Fact> {
    type Beside = fn(Place, Place) -> bool;
    const SIDES: [(&str, Beside); 4] = [
        ("left of", |a, b| a.row == b.row && a.column < b.column),
        ("right of", |a, b| a.row == b.row && a.column > b.column),
        ("above", |a, b| a.column == b.column && a.row < b.row),
        ("below", |a, b| a.column == b.column && a.row > b.row),
    ];
    let mut facts = Vec::new();
    for of in items {
        for (side, beside) in SIDES {
            let mut found = items.iter().enumerate().filter(|(_, item)| beside(item.place, of.place));
            if let (Some((index, item)), None) = (found.next(), found.next()) {
                let answer = sentence(&item.with_article());
                facts.push(Fact::new(Kind::Relation, RELATION, &[side, &of.name()], answer).about(index));
            }
        }
    }
    facts
}

/// A description of all shapes in one sentence.
pub(crate) fn description(items: &[Item]) -> String {
    let part = |item: &Item| format!("{} {}", item.with_article(), item.place.phrase());
    sentence(&items.iter().map(part).collect::<Vec<_>>().join(", "))
}

/// The fact of [`description`].
pub(crate) fn describe(items: &[Item]) -> Fact {
    Fact::new(Kind::Describe, DESCRIBE, &[], description(items))
}

const DESCRIBE: &[&str] = &[
    "Describe the picture.",
    "Describe this picture.",
    "What is in the picture?",
    "What do you see?",
    "What does the picture show?",
];
const COUNT: &[&str] = &["How many shapes are there?", "How many shapes do you see?", "Count the shapes."];
const COUNT_COLOR: &[&str] = &["How many {} shapes are there?", "How many shapes are {}?", "Count the {} shapes."];
const COUNT_SHAPE: &[&str] = &["How many {} are there?", "How many {} do you see?", "Count the {}."];
const COLOR_OF: &[&str] = &["What colour is the {}?", "Which colour is the {}?", "What is the colour of the {}?"];
const COLOR_AT: &[&str] =
    &["What colour is the shape {}?", "Which colour is the shape {}?", "What is the colour of the shape {}?"];
const SHAPE_OF: &[&str] = &["What shape is {}?", "Which shape is {}?", "What is the {} shape?"];
const SHAPE_AT: &[&str] = &["What shape is {}?", "Which shape is {}?", "What is the shape {}?"];
const PLACE_OF: &[&str] = &["Where is the {}?", "Where do you see the {}?", "Where in the picture is the {}?"];
const RELATION: &[&str] = &["What is {} the {}?", "Which shape is {} the {}?", "What do you see {} the {}?"];
