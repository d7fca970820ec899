//! Scenes of colored shapes.

use crate::background::Background;
use crate::canvas::{Figure, Grain};
use crate::color::{Color, Rgb, TINT};
use crate::held_out::is_held_out;
use crate::picture::Picture;
use crate::place::Place;
use crate::random::Random;
use crate::shape::{REACH, Shape};
use crate::split::Split;

/// Shapes on a background.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub width: usize,
    pub height: usize,
    /// At different places, in reading order.
    pub items: Vec<Item>,
    pub background: Background,
    pub grain: Grain,
}

/// A shape in a scene.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub color: Color,
    pub shape: Shape,
    pub place: Place,
    /// The drawn color minus the nominal one.
    pub tint: Rgb,
    /// The center, in pixels.
    pub x: f32,
    pub y: f32,
    pub radius: f32,
    pub turn: f32,
}

/// Constraints of a random scene.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SceneConstraints<'a> {
    pub width: usize,
    pub height: usize,
    pub count: usize,
    /// Minimum and maximum radius of a shape.
    pub radius: (f32, f32),
    /// Allowed positions, at least as many as shapes.
    pub places: &'a [Place],
    pub split: Split,
}

impl Item {
    /// "red circle"
    pub fn name(&self) -> String {
        format!("{} {}", self.color.name(), self.shape.name())
    }

    /// "a red circle"
    pub fn with_article(&self) -> String {
        with_article(&self.name())
    }

    pub fn is_held_out(&self) -> bool {
        is_held_out(self.color, self.shape, self.place)
    }

    pub fn rgb(&self) -> Rgb {
        let typical = self.color.rgb();
        [0, 1, 2].map(|channel| typical[channel] + self.tint[channel])
    }

    pub fn figure(&self) -> Figure {
        Figure { shape: self.shape, x: self.x, y: self.y, radius: self.radius, turn: self.turn }
    }

    /// The same item with a new color and shape, distinct from those of `others` and not held out.
    pub fn repaint(self, random: &mut Random, others: &[Self], colors: &[Color], shapes: &[Shape]) -> Self {
        loop {
            let shape = random.pick(shapes);
            let next = Self {
                color: random.pick(colors),
                shape,
                turn: random.range(-shape.max_turn(), shape.max_turn()),
                ..self
            };
            let same = |other: &Self| other.color == next.color && other.shape == next.shape;
            let unchanged = same(&self);
            if !unchanged && !next.is_held_out() && !others.iter().any(same) {
                return next;
            }
        }
    }
}

impl Scene {
    /// A random scene. With [`Split::HeldOut`], exactly one item is held out, with other splits none.
    pub fn new(random: &mut Random, constraints: SceneConstraints<'_>) -> Self {
        let painted = paint(random, constraints);
        let items = arrange(random, constraints, painted);
        let colors: Vec<Rgb> = items.iter().map(Item::rgb).collect();
        let background = Background::new(random, &colors, None);
        let grain = grain(random, true);
        Self { width: constraints.width, height: constraints.height, items, background, grain }
    }

    /// Draws the scene.
    pub fn draw(&self) -> Picture {
        let mut canvas = self.background.canvas(self.width, self.height);
        for item in &self.items {
            canvas.figure(item.figure(), item.rgb());
        }
        canvas.finish(self.grain)
    }
}

/// Light noise on most images, and blur on some if `may_blur`.
pub(crate) fn grain(random: &mut Random, may_blur: bool) -> Grain {
    let noise = if random.percent(70) { random.range(1.0, 8.0) } else { 0.0 };
    Grain { noise, blur: may_blur && random.percent(15), seed: random.word() }
}

/// "a star", "an orange star"
pub(crate) fn with_article(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// Random number of shapes in an image.
pub(crate) fn any_count(random: &mut Random) -> usize {
    random.pick(&[1, 2, 2, 3, 3, 3, 4, 4, 5])
}

/// Colors, shapes and places for the items, in reading order.
fn paint(random: &mut Random, constraints: SceneConstraints<'_>) -> Vec<(Color, Shape, Place)> {
    // With few colors or shapes, counts are larger.
    let colors = if random.percent(30) { 2 } else { Color::ALL.len() };
    let colors = random.choose(&Color::ALL, colors);
    let shapes = if random.percent(25) { 2 } else { Shape::ALL.len() };
    let shapes = random.choose(&Shape::ALL, shapes);
    let mut places = random.choose(constraints.places, constraints.count);
    let mut painted: Vec<(Color, Shape, Place)> = Vec::with_capacity(constraints.count);
    if constraints.split == Split::HeldOut {
        // Every place has held-out combinations among all colors and shapes.
        while painted.is_empty() {
            let (color, shape) = (random.pick(&Color::ALL), random.pick(&Shape::ALL));
            if is_held_out(color, shape, places[0]) {
                painted.push((color, shape, places[0]));
            }
        }
        places.remove(0);
    }
    for place in places {
        let mut tries = 0;
        loop {
            tries += 1;
            // Two colors and two shapes may not suffice for five items.
            let (color, shape) = if tries < 8 {
                (random.pick(&colors), random.pick(&shapes))
            } else {
                (random.pick(&Color::ALL), random.pick(&Shape::ALL))
            };
            if !is_held_out(color, shape, place) && !painted.iter().any(|other| (other.0, other.1) == (color, shape)) {
                painted.push((color, shape, place));
                break;
            }
        }
    }
    painted.sort_by_key(|item| item.2);
    painted
}

/// Assigns positions and sizes so that nothing overlaps or leaves the image.
fn arrange(random: &mut Random, constraints: SceneConstraints<'_>, painted: Vec<(Color, Shape, Place)>) -> Vec<Item> {
    let (low, high) = constraints.radius;
    let tint = |random: &mut Random| [(); 3].map(|()| random.range(-TINT, TINT));
    let mut items: Vec<Item> = painted
        .into_iter()
        .map(|(color, shape, place)| {
            let turn = random.range(-shape.max_turn(), shape.max_turn());
            Item { color, shape, place, tint: tint(random), x: 0.0, y: 0.0, radius: random.range(low, high), turn }
        })
        .collect();
    let wanted: Vec<f32> = items.iter().map(|item| item.radius).collect();
    // Each attempt is smaller and closer to the centers of the cells. The last one always fits: cells are farther apart
    // than the smallest shapes are wide.
    for freedom in [1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0] {
        for (item, wanted) in items.iter_mut().zip(&wanted) {
            item.radius = low + (wanted - low) * freedom;
            item.x = position(random, constraints.width, item.place.column, item.radius, freedom);
            item.y = position(random, constraints.height, item.place.row, item.radius, freedom);
        }
        if !overlap(&items) {
            break;
        }
    }
    items
}

/// A coordinate in one of three cells, near its center and far enough from the border.
fn position(random: &mut Random, size: usize, cell: usize, radius: f32, freedom: f32) -> f32 {
    let size = size as f32;
    let middle = size * (2 * cell + 1) as f32 / 6.0;
    let margin = (REACH * radius + 1.0).min(size / 2.0);
    let jitter = freedom * size / 16.0;
    (middle + random.range(-jitter, jitter)).clamp(margin, size - margin)
}

fn overlap(items: &[Item]) -> bool {
    items.iter().enumerate().any(|(index, a)| {
        items[..index].iter().any(|b| {
            let (dx, dy) = (a.x - b.x, a.y - b.y);
            let apart = REACH * (a.radius + b.radius) + 2.0;
            dx * dx + dy * dy < apart * apart
        })
    })
}
