//! Images of shapes and pairs: answers derived from pixels.

use super::oracle::{Detected, answer, detect};
use crate::kind::Kind;
use crate::pair::Pair;
use crate::sample::{Turn, is_right};
use crate::scene_spec::{Family, SceneSpec};
use crate::shapes::Shapes;
use crate::split::Split;

#[test]
fn answers_match_the_pixels() {
    let mut asked = [0; Kind::ALL.len()];
    for index in 0..300 {
        let split = [Split::Train, Split::HeldOut][index as usize % 2];
        let mut random = split.random(77, index);
        let SceneSpec::Shapes(mut spec) = SceneSpec::new(&mut random, split, Family::Shapes, None) else {
            panic!("not shapes");
        };
        spec.0.grain = super::CLEAN;
        let seen = detect(&spec.0);
        for fact in spec.facts(&mut random) {
            let turn = fact.ask(&mut random);
            let found = answer(&turn.question, &seen);
            assert!(is_right(&turn, &found), "{index}: {turn:?}, found {found} in {seen:?}");
            asked[turn.kind as usize] += 1;
        }
    }
    for kind in Kind::ALL.into_iter().filter(|&kind| Family::of(kind) == Family::Shapes) {
        assert!(asked[kind as usize] > 250, "{kind}: {}", asked[kind as usize]);
    }
}

#[test]
fn pair_answers_match_the_pixels() {
    for index in 0..200 {
        let mut random = Split::Test.random(78, index);
        let mut pair = Pair::new(&mut random, Split::Test);
        (pair.first.grain, pair.second.grain) = (super::CLEAN, super::CLEAN);
        let (before, after) = (detect(&pair.first), detect(&pair.second));
        let only = |these: &[Detected], those: &[Detected]| -> Vec<Detected> {
            these.iter().filter(|seen| !those.contains(seen)).cloned().collect()
        };
        let name = |seen: &Detected| format!("{} {}", seen.color.name(), seen.shape.name());
        let found = match (&only(&before, &after)[..], &only(&after, &before)[..]) {
            ([gone], []) => format!("the {} is gone", name(gone)),
            ([], [new]) => format!("there is a new {}", name(new)),
            ([old], [new]) if old.shape == new.shape => format!("the {} is now {}", name(old), new.color.name()),
            ([old], [new]) => format!("the {} is now a {}", name(old), new.shape.name()),
            other => panic!("{index}: {other:?}"),
        };
        for fact in pair.facts() {
            let turn = fact.ask(&mut random);
            let which = if turn.question.contains("first picture") { &before } else { &after };
            let question = turn.question.replace(" in the first picture", "").replace(" in the second picture", "");
            let found = if turn.kind == Kind::Difference { found.clone() } else { answer(&question, which) };
            assert!(is_right(&turn, &found), "{index}: {turn:?}, found {found}");
        }
    }
}

/// Shapes are inside the image and do not overlap.
#[test]
fn shapes_are_inside_and_do_not_overlap() {
    for index in 0..2000 {
        let mut random = Split::Train.random(79, index);
        let scene = Shapes::new(&mut random, Split::Train).0;
        for (number, item) in scene.items.iter().enumerate() {
            let reach = crate::shape::REACH * item.radius;
            let inside = |at: f32, size: usize| at >= reach && at <= size as f32 - reach;
            assert!(inside(item.x, scene.width) && inside(item.y, scene.height), "{item:?}");
            let cell = |at: f32, size: usize| (3.0 * at / size as f32) as usize;
            assert_eq!((cell(item.x, scene.width), cell(item.y, scene.height)), (item.place.column, item.place.row));
            for other in &scene.items[..number] {
                let apart = (item.x - other.x).hypot(item.y - other.y);
                assert!(apart > reach + crate::shape::REACH * other.radius, "{item:?} {other:?}");
            }
        }
    }
}

#[test]
fn answers_match_up_to_case_and_period() {
    let turn = Turn { kind: Kind::Place, question: String::new(), answer: "At the top left.".to_owned() };
    for right in ["At the top left.", "at the top left", " AT THE TOP LEFT .\n"] {
        assert!(is_right(&turn, right), "{right:?}");
    }
    for wrong in ["", "At the top.", "At the top left..", "At the  top left.", "The top left."] {
        assert!(!is_right(&turn, wrong), "{wrong:?}");
    }
}
