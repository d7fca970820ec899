//! Detection of shapes from pixels, and answers derived from them alone.

use std::sync::LazyLock;

use crate::color::Color;
use crate::picture::Picture;
use crate::scene::Scene;
use crate::shape::Shape;

/// A detected shape: a connected component of pixels that are not background.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Detected {
    pub color: Color,
    pub shape: Shape,
    pub row: usize,
    pub column: usize,
}

/// Detects all shapes, in reading order. The image has no noise.
pub(super) fn detect(scene: &Scene) -> Vec<Detected> {
    let picture = scene.draw();
    let empty = scene.background.canvas(scene.width, scene.height).finish(super::CLEAN);
    let mut seen: Vec<Detected> =
        patches(&picture, &empty).iter().map(|patch| recognize(patch, &picture, &empty)).collect();
    seen.sort_by_key(|seen| (seen.row, seen.column));
    seen
}

fn difference(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b))).sum()
}

/// Connected components (8-neighborhood) of the pixels in which two images differ.
pub(super) fn patches(picture: &Picture, empty: &Picture) -> Vec<Vec<(usize, usize)>> {
    let (width, height) = (picture.width, picture.height);
    let mut left: Vec<bool> = (0..width * height)
        .map(|at| difference(picture.pixel(at % width, at / width), empty.pixel(at % width, at / width)) > 30)
        .collect();
    let mut patches = Vec::new();
    while let Some(start) = left.iter().position(|&inside| inside) {
        left[start] = false;
        let (mut stack, mut patch) = (vec![start], Vec::new());
        while let Some(at) = stack.pop() {
            let (x, y) = (at % width, at / width);
            patch.push((x, y));
            for (x, y) in (0..9).map(|step| ((x + step % 3).wrapping_sub(1), (y + step / 3).wrapping_sub(1))) {
                if x < width && y < height && std::mem::take(&mut left[y * width + x]) {
                    stack.push(y * width + x);
                }
            }
        }
        // The tip of a star may be thinner than a pixel and appear disconnected.
        if patch.len() > 4 {
            patches.push(patch);
        }
    }
    patches
}

/// The color closest to the most pixels of a patch.
pub(super) fn color_of(patch: &[(usize, usize)], picture: &Picture) -> Color {
    let mut votes = [0; Color::ALL.len()];
    for &(x, y) in patch {
        let pixel = picture.pixel(x, y);
        let far = |color: Color| {
            let rgb = color.rgb();
            (0..3).map(|channel| (f32::from(pixel[channel]) - rgb[channel]).powi(2)).sum::<f32>()
        };
        let nearest = (0..votes.len()).min_by(|&a, &b| far(Color::ALL[a]).total_cmp(&far(Color::ALL[b])));
        votes[nearest.unwrap()] += 1;
    }
    Color::ALL[(0..votes.len()).max_by_key(|&index| votes[index]).unwrap()]
}

fn recognize(patch: &[(usize, usize)], picture: &Picture, empty: &Picture) -> Detected {
    // Pixels at the edge are blended.
    let strongest = patch.iter().map(|&(x, y)| difference(picture.pixel(x, y), empty.pixel(x, y))).max().unwrap();
    let full = |&&(x, y): &&(usize, usize)| 2 * difference(picture.pixel(x, y), empty.pixel(x, y)) > strongest;
    let patch: Vec<(usize, usize)> = patch.iter().filter(full).copied().collect();
    let columns = || patch.iter().map(|pixel| pixel.0);
    let rows = || patch.iter().map(|pixel| pixel.1);
    let (left, right) = (columns().min().unwrap() as f32, columns().max().unwrap() as f32 + 1.0);
    let (top, bottom) = (rows().min().unwrap() as f32, rows().max().unwrap() as f32 + 1.0);
    let cell = |low: f32, high: f32, size: usize| (3.0 * (low + high) / 2.0 / size as f32) as usize;
    Detected {
        color: color_of(&patch, picture),
        shape: shape_of(&patch, [left, top, right, bottom]),
        row: cell(top, bottom, picture.height),
        column: cell(left, right, picture.width),
    }
}

/// A rotated shape with its bounding box.
struct Template {
    shape: Shape,
    turn: f32,
    edges: [f32; 4],
}

impl Template {
    fn covers(&self, x: f32, y: f32) -> bool {
        let (sine, cosine) = self.turn.sin_cos();
        self.shape.distance(cosine * x + sine * y, cosine * y - sine * x) < 0.0
    }
}

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let mut templates = Vec::new();
    for shape in Shape::ALL {
        for turn in [-0.2, -0.1, 0.0, 0.1, 0.2_f32].into_iter().filter(|turn| turn.abs() <= 2.0 * shape.max_turn()) {
            let mut template = Template { shape, turn, edges: [0.0; 4] };
            let steps = (-130..=130).flat_map(|y| (-130..=130).map(move |x| (x as f32 / 100.0, y as f32 / 100.0)));
            let mut edges = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
            for (x, y) in steps.filter(|&(x, y)| template.covers(x, y)) {
                edges = [edges[0].min(x), edges[1].min(y), edges[2].max(x), edges[3].max(y)];
            }
            template.edges = edges;
            templates.push(template);
        }
    }
    templates
});

/// The shape whose template has the fewest mismatched pixels in the bounding box.
fn shape_of(patch: &[(usize, usize)], [left, top, right, bottom]: [f32; 4]) -> Shape {
    let (width, height) = ((right - left) as usize, (bottom - top) as usize);
    let mut mask = vec![false; width * height];
    for &(x, y) in patch {
        mask[(y - top as usize) * width + x - left as usize] = true;
    }
    let wrong = |template: &Template| {
        let [from_x, from_y, to_x, to_y] = template.edges;
        let radius = (right - left + bottom - top) / (to_x - from_x + to_y - from_y);
        let (middle_x, middle_y) = ((from_x + to_x) / 2.0, (from_y + to_y) / 2.0);
        let differs = |&at: &usize| {
            let (x, y) =
                ((at % width) as f32 + 0.5 - width as f32 / 2.0, (at / width) as f32 + 0.5 - height as f32 / 2.0);
            mask[at] != template.covers(x / radius + middle_x, y / radius + middle_y)
        };
        // A bounding box of other proportions leaves a border.
        let border = (width as f32 - radius * (to_x - from_x)).abs() * height as f32 / 2.0;
        (0..mask.len()).filter(differs).count() + border as usize
    };
    TEMPLATES.iter().min_by_key(|template| wrong(template)).unwrap().shape
}

const ROWS: [[&str; 3]; 3] = [
    ["at the top left", "at the top", "at the top right"],
    ["on the left", "in the centre", "on the right"],
    ["at the bottom left", "at the bottom", "at the bottom right"],
];

/// The answer to a question about shapes, in lower case and without a period.
pub(super) fn answer(question: &str, seen: &[Detected]) -> String {
    let question = question.to_lowercase();
    let question = question.trim_end_matches(['?', '.']);
    let words: Vec<&str> = question.split(' ').collect();
    let color = Color::ALL.into_iter().find(|color| words.contains(&color.name()));
    let shape = Shape::ALL.into_iter().find(|shape| words.contains(&shape.name()) || words.contains(&shape.plural()));
    let place = |seen: &Detected| ROWS[seen.row][seen.column];
    let name = |seen: &Detected| {
        let name = format!("{} {}", seen.color.name(), seen.shape.name());
        if seen.color == Color::Orange { format!("an {name}") } else { format!("a {name}") }
    };
    // The shapes that match the color and shape named in the question.
    let matching = || {
        let fits = move |seen: &&Detected| {
            color.is_none_or(|color| color == seen.color) && shape.is_none_or(|shape| shape == seen.shape)
        };
        seen.iter().filter(fits)
    };
    let one = |found: Vec<&Detected>| {
        assert_eq!(found.len(), 1, "{question}: {seen:?}");
        found[0].clone()
    };
    let meant = || {
        let at = |seen: &&Detected| question.ends_with(place(seen));
        if seen.iter().any(|seen| at(&seen)) {
            one(seen.iter().filter(at).collect())
        } else {
            one(matching().collect())
        }
    };
    if words[0] == "count" || question.starts_with("how many") {
        return matching().count().to_string();
    }
    if words[0] == "where" {
        return place(&meant()).to_owned();
    }
    for (word, right, down) in [("left", -1, 0), ("right", 1, 0), ("above", 0, -1), ("below", 0, 1)] {
        if words.contains(&word) && color.is_some() && shape.is_some() {
            let from = one(matching().collect());
            let steps = |a: usize, b: usize| a as i32 - b as i32;
            let beside = |other: &&Detected| {
                let (across, along) = (steps(other.column, from.column), steps(other.row, from.row));
                (across.signum(), along.signum()) == (right, down)
            };
            return name(&one(seen.iter().filter(beside).collect()));
        }
    }
    if words.contains(&"colour") {
        return meant().color.name().to_owned();
    }
    if words.contains(&"shape") {
        return meant().shape.name().to_owned();
    }
    seen.iter().map(|seen| format!("{} {}", name(seen), place(seen))).collect::<Vec<_>>().join(", ")
}
