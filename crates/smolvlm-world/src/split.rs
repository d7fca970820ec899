//! Parts of the world that share no seeds.

use crate::random::Random;

/// A part of the world. No two share a seed, and no word of three or more letters that [`Train`](Self::Train) prints is
/// printed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// To train on.
    Train,
    /// To choose by while training.
    Validation,
    /// To report.
    Test,
    /// To report, on combinations of color, shape and place that no still of the others shows.
    HeldOut,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Train, Self::Validation, Self::Test, Self::HeldOut];

    /// The random numbers of one sample; `purpose` tells streams of the same index apart.
    pub(crate) fn random(self, purpose: u64, index: u64) -> Random {
        // The last number is the version of the world. Change it to draw everything anew.
        Random::new([self as u64, purpose, index, 1])
    }

    /// Whether this split may print these letters or digits: texts of three and more belong to one split by their hash,
    /// 6 in 8 to training. [`Test`](Self::Test) and [`HeldOut`](Self::HeldOut) share theirs.
    pub(crate) fn may_print(self, text: &str) -> bool {
        // FNV-1a.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
        // Drawn, because short texts differ in few bits of their hashes.
        let class = Random::new([hash, 0, 0, 0]).below(8);
        text.len() < 3
            || match self {
                Self::Train => class > 1,
                Self::Validation => class == 0,
                Self::Test | Self::HeldOut => class == 1,
            }
    }
}
