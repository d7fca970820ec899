//! The nine positions in an image.

/// A cell of the 3x3 grid over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// 0 is the top.
    pub row: usize,
    /// 0 is the left.
    pub column: usize,
}

impl Place {
    /// All cells in reading order.
    pub const ALL: [Self; 9] = {
        let mut all = [Self { row: 0, column: 0 }; 9];
        let mut index = 0;
        while index < 9 {
            all[index] = Self { row: index / 3, column: index % 3 };
            index += 1;
        }
        all
    };

    /// The index in reading order.
    pub fn index(self) -> usize {
        3 * self.row + self.column
    }

    /// The position as a phrase in a sentence.
    pub fn phrase(self) -> &'static str {
        const PHRASES: [&str; 9] = [
            "at the top left",
            "at the top",
            "at the top right",
            "on the left",
            "in the centre",
            "on the right",
            "at the bottom left",
            "at the bottom",
            "at the bottom right",
        ];
        PHRASES[self.index()]
    }
}
