//! Clips of one shape that moves, changes color or appears, and others that stay unchanged.

use crate::background::Background;
use crate::canvas::Grain;
use crate::color::{Color, Rgb};
use crate::fact::{Fact, sentence};
use crate::kind::Kind;
use crate::picture::Medium;
use crate::place::Place;
use crate::random::Random;
use crate::scene::{Item, Scene, SceneConstraints, grain};
use crate::shape::REACH;
use crate::split::Split;

/// One event in a scene of otherwise unchanged shapes.
pub(crate) struct Clip {
    pub frames: usize,
    /// The unchanged items, in reading order.
    pub others: Vec<Item>,
    /// The item that changes, in its initial state.
    pub actor: Item,
    pub event: Event,
    pub background: Background,
    pub grain: Grain,
}

/// The event of a clip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    /// Moves by this many pixels to the right and down, at constant speed over the clip.
    Move { right: f32, down: f32 },
    /// Has color `to` from this frame on.
    Change { frame: usize, to: Color },
    /// Is visible from this frame on.
    Appear { frame: usize },
}

const SIZE: usize = 64;

impl Clip {
    /// A clip with an event for questions of this kind, or any.
    pub fn new(random: &mut Random, split: Split, kind: Option<Kind>) -> Self {
        let frames = random.between(4, 8);
        let count = random.pick(&[1, 1, 2, 2, 3]);
        let kind = kind.unwrap_or_else(|| random.pick(&[Kind::Motion, Kind::Change, Kind::Appear]));
        let largest = if kind == Kind::Motion && count > 1 { 8.0 } else { 11.0 };
        let constraints =
            SceneConstraints { width: SIZE, height: SIZE, count, radius: (6.0, largest), places: &Place::ALL, split };
        let mut others = Scene::new(random, constraints).items;
        // A held-out item is never changed, so that every frame contains it.
        let held_out = others.iter().position(Item::is_held_out);
        let free: Vec<usize> = (0..count).filter(|&index| Some(index) != held_out).collect();
        let mut actor = others.remove(if free.is_empty() { 0 } else { random.pick(&free) });
        let frame = random.between(1, frames - 1);
        let event = match kind {
            Kind::Motion => linear_motion(random, &mut actor, &mut others),
            Kind::Change => {
                let after = actor.repaint(random, &others, &Color::ALL, &[actor.shape]);
                Event::Change { frame, to: after.color }
            }
            _ => Event::Appear { frame },
        };
        let mut colors: Vec<Rgb> = others.iter().chain([&actor]).map(Item::rgb).collect();
        if let Event::Change { to, .. } = event {
            colors.push(to.rgb());
        }
        let background = Background::new(random, &colors, None);
        Self { frames, others, actor, event, background, grain: grain(random, false) }
    }

    /// All items in a frame.
    pub fn items(&self, frame: usize) -> Vec<Item> {
        let mut items = self.others.clone();
        let mut actor = self.actor;
        match self.event {
            Event::Move { right, down } => {
                let share = frame as f32 / (self.frames - 1) as f32;
                actor.x += share * right;
                actor.y += share * down;
            }
            Event::Change { frame: from, to } if frame >= from => actor.color = to,
            Event::Appear { frame: from } if frame < from => return items,
            Event::Change { .. } | Event::Appear { .. } => {}
        }
        items.push(actor);
        items
    }

    pub fn media(&self) -> Vec<Medium> {
        let draw = |frame: usize| {
            let mut canvas = self.background.canvas(SIZE, SIZE);
            for item in self.items(frame) {
                canvas.figure(item.figure(), item.rgb());
            }
            canvas.finish(Grain { seed: self.grain.seed.wrapping_add(frame as u64), ..self.grain })
        };
        vec![Medium::Video { frames: (0..self.frames).map(draw).collect(), fps: 1.0 }]
    }

    pub fn facts(&self) -> Vec<Fact> {
        let (actor, count) = (&self.actor, self.others.len() + 1);
        let mut facts = Vec::new();
        match self.event {
            Event::Move { right, down } => {
                let answer = direction(right, down);
                facts.push(Fact::new(Kind::Motion, MOTION, &[&actor.name()], answer));
                for other in &self.others {
                    facts.push(Fact::new(Kind::Motion, MOTION, &[&other.name()], direction(0.0, 0.0)).secondary());
                }
                if self.others.is_empty() {
                    facts.push(Fact::new(Kind::Motion, MOTION, &["shape"], answer));
                } else if (right, down) != (0.0, 0.0) {
                    facts.push(Fact::new(Kind::Motion, WHO_MOVES, &[], sentence(&actor.with_article())).secondary());
                }
                facts.push(Fact::new(Kind::Count, COUNT, &[], count.to_string()).secondary());
            }
            Event::Change { frame, to } => {
                let shape = if self.others.is_empty() { "shape" } else { actor.shape.name() };
                let alone = self.others.iter().all(|other| other.shape != actor.shape);
                facts.push(Fact::new(Kind::Change, WHEN_CHANGES, &[], stamp(frame)));
                if alone {
                    facts.push(Fact::new(Kind::Change, COLOR_AT_END, &[shape], sentence(to.name())));
                    facts.push(Fact::new(Kind::Change, COLOR_AT_START, &[shape], sentence(actor.color.name())));
                }
                facts.push(Fact::new(Kind::Change, WHO_CHANGES, &[], sentence(actor.shape.name())).secondary());
                facts.push(Fact::new(Kind::Count, COUNT, &[], count.to_string()).secondary());
            }
            Event::Appear { frame } => {
                let name = actor.name();
                facts.push(Fact::new(Kind::Appear, WHEN_APPEARS, &[&name], stamp(frame)));
                if self.others.iter().all(|other| other.shape != actor.shape) {
                    facts.push(Fact::new(Kind::Appear, WHEN_APPEARS, &[actor.shape.name()], stamp(frame)));
                }
                facts.push(Fact::new(Kind::Appear, WHO_APPEARS, &[], sentence(&actor.with_article())));
                facts.push(Fact::new(Kind::Count, COUNT_AT_END, &[], count.to_string()).secondary());
                facts.push(Fact::new(Kind::Count, COUNT_AT_START, &[], (count - 1).to_string()).secondary());
            }
        }
        facts
    }
}

/// Moves the actor to its start, and the others to rows or columns outside of its path.
fn linear_motion(random: &mut Random, actor: &mut Item, others: &mut [Item]) -> Event {
    let size = SIZE as f32;
    let margin = |radius: f32| 1.0 + REACH * radius;
    let (low, high) = (margin(actor.radius), size - margin(actor.radius));
    // The path is along one of three lines, the other items are on the other two.
    let line = random.below(3);
    let third = |line: usize| size * (2 * line + 1) as f32 / 6.0;
    let across = third(line).clamp(low, high);
    let free = [(line + 1) % 3, (line + 2) % 3];
    let upright = random.percent(50);
    for (index, other) in others.iter_mut().enumerate() {
        let margin = margin(other.radius);
        let beside = third(free[index % 2]).clamp(margin, size - margin);
        let along = random.range(margin, size - margin);
        (other.x, other.y) = if upright { (beside, along) } else { (along, beside) };
    }
    let still = random.percent(15);
    let travel = if still { 0.0 } else { random.range(0.6, 1.0) * (high - low) };
    let start = random.range(low, high - travel);
    let back = random.percent(50);
    let (start, travel) = if back { (start + travel, -travel) } else { (start, travel) };
    (actor.x, actor.y) = if upright { (across, start) } else { (start, across) };
    let (right, down) = if upright { (0.0, travel) } else { (travel, 0.0) };
    Event::Move { right, down }
}

fn direction(right: f32, down: f32) -> &'static str {
    match (right, down) {
        (right, _) if right > 0.0 => "Right.",
        (right, _) if right < 0.0 => "Left.",
        (_, down) if down > 0.0 => "Down.",
        (_, down) if down < 0.0 => "Up.",
        _ => "It does not move.",
    }
}

/// The time stamp of a frame, as in the prompt, as an answer.
fn stamp(frame: usize) -> String {
    format!("At 00:{frame:02}.")
}

const MOTION: &[&str] =
    &["Which way does the {} move?", "Where does the {} move?", "In which direction does the {} move?"];
const WHO_MOVES: &[&str] = &["Which shape moves?", "What moves?"];
const WHEN_CHANGES: &[&str] = &["When does the colour change?", "At what time does the colour change?"];
const COLOR_AT_END: &[&str] = &["What colour is the {} at the end?", "Which colour is the {} at the end?"];
const COLOR_AT_START: &[&str] = &["What colour is the {} at the start?", "Which colour is the {} at the start?"];
const WHO_CHANGES: &[&str] = &["Which shape changes its colour?", "What changes its colour?"];
const WHEN_APPEARS: &[&str] = &["When does the {} appear?", "At what time does the {} appear?"];
const WHO_APPEARS: &[&str] = &["Which shape appears?", "What appears?"];
const COUNT: &[&str] = &["How many shapes are there?", "Count the shapes."];
const COUNT_AT_END: &[&str] = &["How many shapes are there at the end?"];
const COUNT_AT_START: &[&str] = &["How many shapes are there at the start?"];
