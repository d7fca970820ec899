//! Named colors.

/// A named color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Color {
    Red,
    Green,
    Blue,
    Yellow,
    Orange,
    Purple,
    Pink,
    Brown,
    Black,
    White,
}

impl Color {
    /// All colors, in the order of the indices in [`is_held_out`](crate::held_out::is_held_out).
    pub const ALL: [Self; 10] = [
        Self::Red,
        Self::Green,
        Self::Blue,
        Self::Yellow,
        Self::Orange,
        Self::Purple,
        Self::Pink,
        Self::Brown,
        Self::Black,
        Self::White,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Yellow => "yellow",
            Self::Orange => "orange",
            Self::Purple => "purple",
            Self::Pink => "pink",
            Self::Brown => "brown",
            Self::Black => "black",
            Self::White => "white",
        }
    }

    /// The nominal red, green and blue, 0 to 255. Drawn colors differ by at most [`TINT`].
    pub fn rgb(self) -> Rgb {
        match self {
            Self::Red => [215.0, 25.0, 35.0],
            Self::Green => [35.0, 150.0, 55.0],
            Self::Blue => [35.0, 75.0, 220.0],
            Self::Yellow => [245.0, 222.0, 40.0],
            Self::Orange => [245.0, 130.0, 20.0],
            Self::Purple => [125.0, 40.0, 165.0],
            Self::Pink => [250.0, 145.0, 195.0],
            Self::Brown => [122.0, 72.0, 30.0],
            Self::Black => [14.0, 14.0, 16.0],
            Self::White => [244.0, 244.0, 244.0],
        }
    }
}

/// Maximum difference between a drawn and the nominal color, per channel.
pub(crate) const TINT: f32 = 10.0;

/// Red, green and blue, 0 to 255.
pub(crate) type Rgb = [f32; 3];

/// Approximate perceptual distance of two colors, with most weight on green.
pub(crate) fn distance(a: Rgb, b: Rgb) -> f32 {
    let [red, green, blue] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    ((2.0 * red * red + 4.0 * green * green + 2.0 * blue * blue) / 3.0).sqrt()
}

/// Perceived brightness of a color, 0 to 255.
pub(crate) fn luma(rgb: Rgb) -> f32 {
    0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
}
