//! Clips: events detected from pixels.

use super::oracle::{color_of, patches};
use crate::clip::{Clip, Event};
use crate::kind::Kind;
use crate::picture::{Medium, Picture};
use crate::sample::is_right;
use crate::split::Split;

fn frames(clip: &Clip) -> (Vec<Picture>, Picture) {
    let medium = clip.media().remove(0);
    let Medium::Video { frames, fps } = medium else { panic!("not a clip") };
    assert!((4..=8).contains(&frames.len()) && fps == 1.0);
    assert!(frames.iter().all(|frame| (frame.width, frame.height) == (64, 64)));
    (frames, clip.background.canvas(64, 64).finish(super::CLEAN))
}

fn clip(kind: Kind, index: u64) -> Clip {
    let mut random = Split::Train.random(80, index);
    let mut clip = Clip::new(&mut random, Split::Train, Some(kind));
    clip.grain = super::CLEAN;
    clip
}

/// The centroid of all pixels that are not background.
fn middle(frame: &Picture, empty: &Picture) -> (f32, f32) {
    let pixels: Vec<_> = patches(frame, empty).concat();
    let sum = pixels.iter().fold((0, 0), |sum, pixel| (sum.0 + pixel.0, sum.1 + pixel.1));
    (sum.0 as f32 / pixels.len() as f32, sum.1 as f32 / pixels.len() as f32)
}

#[test]
fn motion_answers_match_the_centroid() {
    for index in 0..300 {
        let clip = clip(Kind::Motion, index);
        let (frames, empty) = frames(&clip);
        let (from, to) = (middle(&frames[0], &empty), middle(&frames[frames.len() - 1], &empty));
        let (right, down) = (to.0 - from.0, to.1 - from.1);
        let found = match (right.abs() > 2.0, down.abs() > 2.0) {
            (false, false) => "it does not move",
            (true, false) => {
                if right > 0.0 {
                    "right"
                } else {
                    "left"
                }
            }
            (false, true) => {
                if down > 0.0 {
                    "down"
                } else {
                    "up"
                }
            }
            (true, true) => panic!("{index}: {right} {down}"),
        };
        let mut random = Split::Train.random(81, index);
        for fact in clip.facts().into_iter().filter(|fact| fact.kind == Kind::Motion && !fact.secondary) {
            let turn = fact.ask(&mut random);
            assert!(is_right(&turn, found), "{index}: {turn:?}, found {found}");
        }
        let count = clip.items(0).len();
        assert!(frames.iter().all(|frame| patches(frame, &empty).len() == count), "{index}: shapes touch");
    }
}

#[test]
fn event_times_match_the_changed_frame() {
    for index in 0..400 {
        let kind = [Kind::Change, Kind::Appear][index as usize % 2];
        let clip = clip(kind, index);
        let (frames, empty) = frames(&clip);
        let events: Vec<usize> = (1..frames.len()).filter(|&at| frames[at] != frames[at - 1]).collect();
        let [at] = events[..] else { panic!("{index}: {events:?}") };
        let changed = patches(&frames[at], &frames[at - 1]).concat();
        let (end, start) = (color_of(&changed, &frames[at]), color_of(&changed, &frames[at - 1]));
        let count = |frame: usize| patches(&frames[frame], &empty).len().to_string();
        let mut random = Split::Train.random(82, index);
        for fact in clip.facts() {
            let turn = fact.ask(&mut random);
            let found = if turn.question.contains("When") || turn.question.contains("time") {
                format!("at 00:0{at}")
            } else if turn.kind == Kind::Count {
                count(if turn.question.contains("start") { 0 } else { frames.len() - 1 })
            } else if turn.question.contains("at the end") {
                end.name().to_owned()
            } else if turn.question.contains("at the start") {
                start.name().to_owned()
            } else if kind == Kind::Appear {
                let article = if end.name() == "orange" { "an" } else { "a" };
                format!("{article} {} {}", end.name(), clip.actor.shape.name())
            } else {
                clip.actor.shape.name().to_owned()
            };
            assert!(is_right(&turn, &found), "{index}: {turn:?}, found {found}");
        }
    }
}

/// All directions and no motion have the expected frequencies.
#[test]
fn directions_have_expected_frequencies() {
    let mut counts = [0; 5];
    for index in 0..1000 {
        let Event::Move { right, down } = clip(Kind::Motion, index).event else { panic!("no motion") };
        let which = [right > 0.0, right < 0.0, down > 0.0, down < 0.0].iter().position(|&is| is).unwrap_or(4);
        counts[which] += 1;
    }
    assert!(
        counts[..4].iter().all(|count| (160..280).contains(count)) && (100..210).contains(&counts[4]),
        "{counts:?}"
    );
}
