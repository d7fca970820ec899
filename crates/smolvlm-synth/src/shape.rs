//! Shapes and their signed distance functions.

/// A named shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Cross,
    Diamond,
    Ring,
    Heart,
}

/// Maximum distance of any point of a shape of radius 1 from its center.
pub(crate) const REACH: f32 = 1.2;

impl Shape {
    /// All shapes, in the order of the indices in [`is_held_out`](crate::held_out::is_held_out).
    pub const ALL: [Self; 8] =
        [Self::Circle, Self::Square, Self::Triangle, Self::Star, Self::Cross, Self::Diamond, Self::Ring, Self::Heart];

    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Star => "star",
            Self::Cross => "cross",
            Self::Diamond => "diamond",
            Self::Ring => "ring",
            Self::Heart => "heart",
        }
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::Circle => "circles",
            Self::Square => "squares",
            Self::Triangle => "triangles",
            Self::Star => "stars",
            Self::Cross => "crosses",
            Self::Diamond => "diamonds",
            Self::Ring => "rings",
            Self::Heart => "hearts",
        }
    }

    /// Maximum rotation, as the tangent of half the angle. A square rotated further would look like a diamond.
    pub fn max_turn(self) -> f32 {
        match self {
            Self::Circle | Self::Ring => 0.0,
            Self::Square | Self::Diamond => 0.05,
            Self::Triangle | Self::Star | Self::Cross | Self::Heart => 0.1,
        }
    }

    /// The signed distance of a point to the outline of the shape of radius 1 around the origin, negative inside. The y
    /// axis points down.
    pub fn distance(self, x: f32, y: f32) -> f32 {
        match self {
            Self::Circle => (x * x + y * y).sqrt() - 1.0,
            Self::Ring => ((x * x + y * y).sqrt() - 0.76).abs() - 0.24,
            Self::Square => rectangle(x, y, 0.84, 0.84),
            Self::Cross => rectangle(x, y, 1.08, 0.36).min(rectangle(x, y, 0.36, 1.08)),
            Self::Triangle => polygon(&TRIANGLE, x, y),
            Self::Diamond => polygon(&DIAMOND, x, y),
            Self::Star => polygon(&STAR, x, y),
            Self::Heart => heart(x, y),
        }
    }
}

const TRIANGLE: [[f32; 2]; 3] = [[0.0, -1.1], [1.04, 0.8], [-1.04, 0.8]];

/// Taller than wide, so that it cannot be confused with a square.
const DIAMOND: [[f32; 2]; 4] = [[0.0, -1.2], [0.8, 0.0], [0.0, 1.2], [-0.8, 0.0]];

/// Five points at radius 1.2, with five at radius 0.52 between them.
const STAR: [[f32; 2]; 10] = [
    [0.0, -1.2],
    [0.3056, -0.4207],
    [1.1413, -0.3708],
    [0.4945, 0.1607],
    [0.7053, 0.9708],
    [0.0, 0.52],
    [-0.7053, 0.9708],
    [-0.4945, 0.1607],
    [-1.1413, -0.3708],
    [-0.3056, -0.4207],
];

fn rectangle(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    let (dx, dy) = (x.abs() - half_width, y.abs() - half_height);
    let outside = (dx.max(0.0) * dx.max(0.0) + dy.max(0.0) * dy.max(0.0)).sqrt();
    outside + dx.max(dy).min(0.0)
}

fn polygon(corners: &[[f32; 2]], x: f32, y: f32) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    let mut from = corners[corners.len() - 1];
    for &to in corners {
        let (edge_x, edge_y) = (to[0] - from[0], to[1] - from[1]);
        let (point_x, point_y) = (x - from[0], y - from[1]);
        let along = (point_x * edge_x + point_y * edge_y) / (edge_x * edge_x + edge_y * edge_y);
        let along = along.clamp(0.0, 1.0);
        let (dx, dy) = (point_x - along * edge_x, point_y - along * edge_y);
        nearest = nearest.min(dx * dx + dy * dy);
        // A ray to the right crosses the outline an odd number of times.
        if (from[1] > y) != (to[1] > y) && point_x < edge_x * point_y / edge_y {
            inside = !inside;
        }
        from = to;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

/// Two round halves over a point at the bottom.
fn heart(x: f32, y: f32) -> f32 {
    const SCALE: f32 = 1.85;
    // In units where the point is the origin, y grows upwards and each half's circle is around (0.25, 0.75).
    let (x, y) = (x.abs() / SCALE, (1.08 - y) / SCALE);
    let distance = if x + y > 1.0 {
        length(x - 0.25, y - 0.75) - std::f32::consts::SQRT_2 / 4.0
    } else {
        let along = 0.5 * (x + y).max(0.0);
        let nearest = length(x, y - 1.0).min(length(x - along, y - along));
        if x < y { -nearest } else { nearest }
    };
    distance * SCALE
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}
