//! Deterministic pseudorandom numbers.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A generator with an independent stream for each pair of `seed` and `stream`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self { state: seed };
        let offset = random.next();
        Self { state: offset ^ stream.wrapping_mul(0xd134_2543_de82_ef95) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// An integer below `end`, nearly uniform.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A uniform number from -1 (inclusive) to 1 (exclusive).
    pub(crate) fn symmetric(&mut self) -> f32 {
        ((self.next() >> 40) as f32 / (1_u32 << 23) as f32) - 1.0
    }

    /// Two independent numbers from the standard normal distribution (Box and Muller 1958).
    pub(crate) fn normal_pair(&mut self) -> [f32; 2] {
        // Above 0 and at most 1, so that the logarithm is finite.
        let uniform = |bits: u64| ((bits >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        let radius = (-2.0 * uniform(self.next()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * uniform(self.next())).sin_cos();
        [(radius * cos) as f32, (radius * sin) as f32]
    }
}
