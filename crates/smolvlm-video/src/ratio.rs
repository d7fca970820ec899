//! Exact times and rates.

use std::fmt;

/// A non-negative fraction: seconds, or frames a second. Always in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ratio {
    numerator: u64,
    denominator: u64,
}

impl Ratio {
    /// `numerator / denominator`; none for a denominator of zero.
    pub fn new(numerator: u64, denominator: u64) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = greatest_common_divisor(numerator, denominator);
        Some(Self { numerator: numerator / divisor, denominator: denominator / divisor })
    }

    /// A whole number.
    pub fn whole(number: u64) -> Self {
        Self { numerator: number, denominator: 1 }
    }

    /// The nearest multiple of a millionth; none for what is negative, not finite or too large.
    pub fn from_f64(value: f64) -> Option<Self> {
        const PARTS: u64 = 1_000_000;
        let parts = (value * PARTS as f64).round();
        (0.0..1e18).contains(&parts).then(|| Self::new(parts as u64, PARTS)).flatten()
    }

    /// Numerator in lowest terms.
    pub fn numerator(self) -> u64 {
        self.numerator
    }

    /// Denominator in lowest terms, never zero.
    pub fn denominator(self) -> u64 {
        self.denominator
    }

    /// The whole part.
    pub fn floor(self) -> u64 {
        self.numerator / self.denominator
    }

    /// The nearest 64-bit float, as long as both parts are below 2^53.
    pub fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// `count / self`: the time that `count` frames take at this rate. None for a rate of zero, or when the result does
    /// not fit.
    pub fn time_of(self, count: u64) -> Option<Self> {
        Self::new(count.checked_mul(self.denominator)?, self.numerator)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.denominator == 1 {
            write!(f, "{}", self.numerator)
        } else {
            write!(f, "{}/{}", self.numerator, self.denominator)
        }
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::Ratio;

    #[test]
    fn fractions_are_in_lowest_terms() {
        let rate = Ratio::new(60_000, 2_002).unwrap();
        assert_eq!((rate.numerator(), rate.denominator()), (30_000, 1_001));
        assert_eq!(rate.to_string(), "30000/1001");
        assert_eq!(rate.time_of(30_000), Some(Ratio::whole(1_001)));
        assert_eq!(rate.time_of(29_999).unwrap().floor(), 1_000);
        assert_eq!(Ratio::new(1, 0), None);
        assert_eq!(Ratio::whole(0).time_of(3), None);
        assert_eq!(Ratio::whole(1).time_of(u64::MAX), Some(Ratio::whole(u64::MAX)));
        assert_eq!(rate.time_of(u64::MAX), None);
    }

    #[test]
    fn floats_come_as_millionths() {
        assert_eq!(Ratio::from_f64(2.5), Ratio::new(5, 2));
        assert_eq!(Ratio::from_f64(0.0), Some(Ratio::whole(0)));
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e30] {
            assert_eq!(Ratio::from_f64(wrong), None);
        }
    }
}
