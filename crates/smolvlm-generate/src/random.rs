//! Random numbers for sampling.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Uniform random numbers. The same seed and stream give the same numbers on all platforms.
#[derive(Debug, Clone)]
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// Opens stream `stream` of `seed`, or of a seed from the operating system. Streams of one seed are independent.
    pub(crate) fn new(seed: Option<u64>, stream: u64) -> Self {
        let mut rng = seed.map_or_else(ChaCha8Rng::from_os_rng, ChaCha8Rng::seed_from_u64);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A uniform random number in [0, 1).
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: Option<u64>, stream: u64) -> [f64; 4] {
        let mut random = Random::new(seed, stream);
        [(); 4].map(|()| random.fraction())
    }

    #[test]
    fn numbers_depend_on_seed_and_stream() {
        assert_eq!(numbers(Some(7), 1), numbers(Some(7), 1));
        assert_ne!(numbers(Some(7), 1), numbers(Some(7), 2));
        assert_ne!(numbers(Some(7), 1), numbers(Some(8), 1));
        assert_ne!(numbers(None, 1), numbers(None, 1));
    }

    #[test]
    fn numbers_are_uniform() {
        let mut random = Random::new(Some(1), 0);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[(random.fraction() * 10.0) as usize] += 1;
        }
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    }
}
