//! Disjointness of the splits.

use std::collections::HashSet;

use crate::color::Color;
use crate::held_out::is_held_out;
use crate::kind::Kind;
use crate::picture::Medium;
use crate::place::Place;
use crate::reading::Reading;
use crate::sample::{Sample, mixed_sample, sample};
use crate::scene::Item;
use crate::scene_spec::{Family, SceneSpec};
use crate::shape::Shape;
use crate::split::Split;

fn stills(spec: &SceneSpec) -> Vec<&[Item]> {
    match spec {
        SceneSpec::Shapes(shapes) => vec![&shapes.0.items],
        SceneSpec::Reading(reading) => vec![&reading.items],
        SceneSpec::Pair(pair) => vec![&pair.first.items, &pair.second.items],
        SceneSpec::Chart(_) | SceneSpec::Clip(_) | SceneSpec::Words => Vec::new(),
    }
}

#[test]
fn one_in_twelve_is_held_out() {
    let mut count = 0;
    for shape in Shape::ALL {
        for color in Color::ALL {
            let places = Place::ALL.into_iter().filter(|&place| is_held_out(color, shape, place)).count();
            assert!(places <= 1, "{color:?} {shape:?}");
            count += places;
        }
    }
    assert_eq!(count, 60);
}

#[test]
fn held_out_combinations_do_not_occur_in_other_splits() {
    for split in [Split::Train, Split::Validation, Split::Test] {
        for index in 0..5000 {
            let (spec, _) = crate::sample::undrawn_sample(split, index, 6);
            let mut items = stills(&spec).concat();
            if let SceneSpec::Clip(clip) = &spec {
                items.clone_from(&clip.others);
            }
            // With linear motion, items are not at grid positions.
            let linear_motion =
                matches!(&spec, SceneSpec::Clip(clip) if matches!(clip.event, crate::clip::Event::Move { .. }));
            assert!(linear_motion || !items.iter().any(Item::is_held_out), "{split:?} {index}");
        }
    }
}

#[test]
fn held_out_images_contain_one_held_out_item() {
    for family in [Family::Shapes, Family::Reading, Family::Pair] {
        for index in 0..1000 {
            let mut random = Split::HeldOut.random(87, index);
            let spec = SceneSpec::new(&mut random, Split::HeldOut, family, None);
            for items in stills(&spec) {
                assert_eq!(items.iter().filter(|item| item.is_held_out()).count(), 1, "{family:?} {index}");
            }
        }
    }
}

/// Questions about one shape are about the held-out one.
#[test]
fn held_out_questions_are_about_the_held_out_item() {
    for kind in [Kind::Color, Kind::Shape, Kind::Place] {
        for index in 0..300 {
            let mut random = Split::HeldOut.random(kind as u64, index);
            let spec = SceneSpec::new(&mut random, Split::HeldOut, Family::Shapes, Some(kind));
            let SceneSpec::Shapes(shapes) = &spec else { panic!("not shapes") };
            let item = shapes.0.items.iter().find(|item| item.is_held_out()).unwrap();
            let turn = &sample(kind, Split::HeldOut, index).turns[0];
            let answer = match kind {
                Kind::Color => item.color.name(),
                Kind::Shape => item.shape.name(),
                _ => item.place.phrase(),
            };
            assert!(crate::is_right(turn, answer), "{turn:?} {item:?}");
        }
    }
}

fn pixels(sample: &Sample) -> Vec<u8> {
    let stills = sample.media.iter().flat_map(|medium| match medium {
        Medium::Image(picture) => vec![&picture.rgb],
        Medium::Video { frames, .. } => frames.iter().map(|frame| &frame.rgb).collect(),
    });
    stills.flatten().copied().collect()
}

#[test]
fn images_are_distinct() {
    let mut seen = HashSet::new();
    for split in Split::ALL {
        for index in 0..150 {
            let mixed = mixed_sample(split, index);
            assert!(mixed.media.is_empty() || seen.insert(pixels(&mixed)), "{split:?} {index}");
            for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::Text) {
                assert!(seen.insert(pixels(&sample(kind, split, index))), "{kind} {split:?} {index}");
            }
        }
    }
}

#[test]
fn long_words_belong_to_one_split() {
    let words = |split: Split| -> HashSet<String> {
        let words = (0..4000).flat_map(|index| Reading::new(&mut split.random(88, index), split).words);
        words.filter(|word| word.len() > 2).collect()
    };
    let [train, validation, test] = [Split::Train, Split::Validation, Split::Test].map(words);
    assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
    assert!(train.is_disjoint(&words(Split::HeldOut)) && train.len() > 1500, "{}", train.len());
}

#[test]
fn every_letter_starts_words_of_every_split() {
    for first in 'A'..='Z' {
        let words = ('A'..='Z').flat_map(|second| ('A'..='Z').map(move |third| format!("{first}{second}{third}")));
        let mut counts = [0; 3];
        for word in words {
            let splits = [Split::Train, Split::Validation, Split::Test];
            splits.iter().zip(&mut counts).for_each(|(split, count)| *count += usize::from(split.may_print(&word)));
        }
        // Of 676, in a ratio of 6 : 1 : 1.
        assert!(counts[0] > 450 && counts[1] > 50 && counts[2] > 50, "{first}: {counts:?}");
    }
    let numbers = (100..1000).filter(|number| Split::Train.may_print(&number.to_string())).count();
    assert!((600..750).contains(&numbers), "{numbers} of 900");
}
