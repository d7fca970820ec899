//! Combinations held out from training.

use crate::color::Color;
use crate::place::Place;
use crate::shape::Shape;

/// Whether this color and shape at this place never occur in images of [`Train`](crate::Split::Train),
/// [`Validation`](crate::Split::Validation) and [`Test`](crate::Split::Test).
///
/// With all three counted from 0 (places in reading order): `color + 5 * shape + 7 * place` is a multiple of 12. Since
/// 1, 5 and 7 have no divisor in common with 12, one triple in 12 is held out (60 of 720), evenly: a color and shape
/// are missing at one place at most, so each of the three pairs a triple is made of is seen elsewhere.
pub(crate) fn is_held_out(color: Color, shape: Shape, place: Place) -> bool {
    (color as usize + 5 * shape as usize + 7 * place.index()).is_multiple_of(12)
}
