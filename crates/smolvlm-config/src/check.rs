//! Range checks shared by several configurations.

use crate::Error;

/// Maximum size (width, count or edge) in a model configuration.
pub(crate) const MAX_SIZE: usize = i32::MAX as usize;

/// Maximum edge of a tile in pixels. Released models use at most 512; this edge already takes 3 GB.
pub(crate) const MAX_TILE_EDGE: usize = 1 << 14;

/// Checks that the value is at most `limit`.
pub(crate) fn at_most(what: &str, value: usize, limit: usize) -> Result<(), Error> {
    if value > limit {
        return Err(Error::invalid(what, format!("must be at most {limit}, is {value}")));
    }
    Ok(())
}

/// Checks that every named size is in `1..=MAX_SIZE`.
pub(crate) fn at_least_one(sizes: &[(&str, usize)]) -> Result<(), Error> {
    for &(what, size) in sizes {
        if size == 0 || size > MAX_SIZE {
            return Err(Error::invalid(what, format!("must be from 1 to {MAX_SIZE}, is {size}")));
        }
    }
    Ok(())
}

/// Checks that the value is finite and not negative.
pub(crate) fn non_negative(what: &str, value: f64) -> Result<(), Error> {
    in_range(what, value, value.is_finite() && value >= 0.0, "must be a non-negative number")
}

/// Checks that the value is finite and positive.
pub(crate) fn positive(what: &str, value: f64) -> Result<(), Error> {
    in_range(what, value, value.is_finite() && value > 0.0, "must be a positive number")
}

/// Checks that the value is in [0, 1].
pub(crate) fn fraction(what: &str, value: f64) -> Result<(), Error> {
    in_range(what, value, (0.0..=1.0).contains(&value), "must be from 0 to 1")
}

/// Returns an error with `rule` and the value unless `holds`.
pub(crate) fn in_range(what: &str, value: f64, holds: bool, rule: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::invalid(what, format!("{rule}, is {value}"))) }
}
