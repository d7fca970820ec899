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

/// The sum of the values of all units of the cube, of `UNITS`, or the largest, in each of them; for each of `count` values of a
/// unit. Every unit of the cube must come here, and `scratch` has `count * units` values.
#[cube]
pub fn over_units(
    values: &mut Array<f32>,
    scratch: &mut Shared<[f32]>,
    #[comptime] count: u32,
    #[comptime] units: u32,
    #[comptime] largest: bool,
    #[comptime] planes: bool,
) {
    // With planes one value is left for each of them.
    let parts = comptime!(if planes { units / LANES } else { units });
    sync_cube();
    #[unroll]
    for index in 0..count {
        let value = values[index as usize];
        if comptime!(planes) {
            let folded = if comptime!(largest) { plane_max(value) } else { plane_sum(value) };
            if UNIT_POS_PLANE == 0 {
                scratch[(index * parts + UNIT_POS / LANES) as usize] = folded;
            }
        } else {
            scratch[(index * parts + UNIT_POS) as usize] = value;
        }
    }
    sync_cube();
    #[unroll]
    for index in 0..count {
        let mut folded = scratch[(index * parts) as usize];
        for part in 1..parts {
            let value = scratch[(index * parts + part) as usize];
            folded = if comptime!(largest) { max(folded, value) } else { folded + value };
        }
        values[index as usize] = folded;
    }
}

/// The sum of the values that units `width` apart in a plane have, in each of them.
#[cube]
pub fn over_strides(value: f32, #[comptime] width: u32) -> f32 {
    let mut sum = value;
    #[unroll]
    for step in 0..comptime!((LANES / width).ilog2()) {
        sum += plane_shuffle_xor(sum, comptime!(width << step));
    }
    sum
}
