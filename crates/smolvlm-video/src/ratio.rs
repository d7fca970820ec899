//! Exact times and rates.

use std::fmt;

/// A non-negative fraction in lowest terms: seconds, or frames per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ratio {
    numerator: u64,
    denominator: u64,
}

impl Ratio {
    /// `numerator / denominator`; `None` for a denominator of zero.
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

    /// The nearest multiple of 1/1,000,000; `None` for a negative, non-finite or too large value.
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

    /// The nearest f64 if both parts are below 2^53.
    pub fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// `count / self`: the duration of `count` frames at this rate; `None` for a rate of zero or on overflow.
    pub fn time_of(self, count: u64) -> Option<Self> {
        Self::new(count.checked_mul(self.denominator)?, self.numerator)
    }
}

/// The unit of a stream's times in seconds. Both parts are positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeBase {
    numerator: u64,
    denominator: u64,
}

impl TimeBase {
    pub(crate) fn new(numerator: i64, denominator: i64) -> Option<Self> {
        let positive = |part: i64| u64::try_from(part).ok().filter(|&part| part > 0);
        Some(Self { numerator: positive(numerator)?, denominator: positive(denominator)? })
    }

    /// A duration in seconds; `None` if it is negative or on overflow.
    pub(crate) fn seconds(self, units: i64) -> Option<Ratio> {
        Ratio::new(u64::try_from(units).ok()?.checked_mul(self.numerator)?, self.denominator)
    }

    /// A time in microseconds, rounded up: a seek to slightly before a key frame would find the previous one.
    pub(crate) fn microseconds(self, time: i64) -> Option<i64> {
        let denominator = i128::from(self.denominator);
        let time = i128::from(time) * i128::from(self.numerator) * 1_000_000;
        i64::try_from(time.div_euclid(denominator) + i128::from(time.rem_euclid(denominator) != 0)).ok()
    }

    /// A duration in units of this time base, rounded to the nearest integer; at least 1.
    pub(crate) fn units(self, span: Ratio) -> Option<i64> {
        let units = u128::from(span.numerator) * u128::from(self.denominator);
        let per_unit = u128::from(span.denominator) * u128::from(self.numerator);
        i64::try_from((units + per_unit / 2) / per_unit).ok().map(|units| units.max(1))
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
    use super::{Ratio, TimeBase};

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
    fn floats_are_rounded_to_millionths() {
        assert_eq!(Ratio::from_f64(2.5), Ratio::new(5, 2));
        assert_eq!(Ratio::from_f64(0.0), Some(Ratio::whole(0)));
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e30] {
            assert_eq!(Ratio::from_f64(wrong), None);
        }
    }

    #[test]
    fn time_bases_convert_both_ways() {
        let base = TimeBase::new(1, 90_000).unwrap();
        assert_eq!(base.seconds(3600), Ratio::new(1, 25));
        assert_eq!(base.seconds(-1), None);
        assert_eq!(base.seconds(i64::MAX).map(Ratio::floor), Some(i64::MAX as u64 / 90_000));
        assert_eq!((base.microseconds(1), base.microseconds(-1)), (Some(12), Some(-11)));
        assert_eq!(base.units(Ratio::new(1, 25).unwrap()), Some(3600));
        assert_eq!(TimeBase::new(1, 25).unwrap().units(Ratio::new(1, 1000).unwrap()), Some(1));
        assert_eq!((TimeBase::new(0, 1), TimeBase::new(1, 0), TimeBase::new(-1, 5)), (None, None, None));
    }
}
