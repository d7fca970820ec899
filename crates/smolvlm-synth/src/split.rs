//! Data splits with disjoint seeds.

use crate::random::Random;

/// A data split. Splits share no seeds, and no word of three or more letters that is printed in [`Train`](Self::Train)
/// occurs in another split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Training data.
    Train,
    /// Validation data during training.
    Validation,
    /// Test data.
    Test,
    /// Test data with combinations of color, shape and place that no image of the other splits contains.
    HeldOut,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Train, Self::Validation, Self::Test, Self::HeldOut];

    /// The random number generator of one sample; `purpose` separates streams with the same index.
    pub(crate) fn random(self, purpose: u64, index: u64) -> Random {
        // The last number is the version of the data set. Changing it changes all samples.
        Random::new([self as u64, purpose, index, 1])
    }

    /// Whether this split may print these letters or digits. Texts of three or more characters are assigned to one
    /// split by their hash, 6 of 8 to training; [`Test`](Self::Test) and [`HeldOut`](Self::HeldOut) share theirs.
    pub(crate) fn may_print(self, text: &str) -> bool {
        // FNV-1a.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
        // Through the generator, because the hashes of short texts differ in few bits.
        let class = Random::new([hash, 0, 0, 0]).below(8);
        text.len() < 3
            || match self {
                Self::Train => class > 1,
                Self::Validation => class == 0,
                Self::Test | Self::HeldOut => class == 1,
            }
    }
}
