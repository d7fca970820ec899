//! Sums and maxima over units that work together.

use cubecl::prelude::*;

/// Units side by side that share one output of a product: a plane, on devices whose planes have as many units.
pub const LANES: u32 = 32;

/// The sum of what [`LANES`] units side by side have, in each of them. With `planes` it takes no memory; without, every unit of
/// the cube must come here, and `scratch` has a value for each.
#[cube]
pub fn sum_over_lanes(value: f32, scratch: &mut Shared<[f32]>, #[comptime] planes: bool) -> f32 {
    if comptime!(planes) {
        plane_sum(value)
    } else {
        sync_cube();
        scratch[UNIT_POS as usize] = value;
        sync_cube();
        let first = (UNIT_POS_Y * LANES) as usize;
        let mut sum = 0.0f32;
        for lane in 0..LANES {
            sum += scratch[first + lane as usize];
        }
        sum
    }
}

/// Folds the values of each of `count` groups of `parts`, a power of two, into the first of the group: their sum, or the
/// largest. Every unit of the cube must come here.
#[cube]
pub fn fold(values: &mut Shared<[f32]>, #[comptime] count: u32, #[comptime] parts: u32, #[comptime] largest: bool) {
    let steps = comptime!(parts.ilog2());
    sync_cube();
    #[unroll]
    for step in 0..steps {
        let half = comptime!(parts >> (step + 1));
        let mut index = UNIT_POS;
        while index < count * half {
            let at = ((index / half) * parts + index % half) as usize;
            let (a, b) = (values[at], values[at + half as usize]);
            if comptime!(largest) {
                values[at] = max(a, b);
            } else {
                values[at] = a + b;
            }
            index += CUBE_DIM as u32;
        }
        sync_cube();
    }
}
