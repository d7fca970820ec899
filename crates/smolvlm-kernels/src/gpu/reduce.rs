//! Sum and max reductions over units.

use cubecl::prelude::*;

/// Adjacent units that share one output of a product: a plane, on devices whose planes have as many units.
pub const LANES: u32 = 32;

/// The sum over [`LANES`] adjacent units, returned in each of them. Without `planes`, every unit of the cube must call
/// this function, and `scratch` has a value for each.
#[cube]
pub fn sum_over_lanes(value: f32, scratch: &mut Shared<[f32]>, #[comptime] planes: bool) -> f32 {
    over_lanes(value, scratch, false, planes)
}

/// [`sum_over_lanes`] or, with `largest`, the maximum.
#[cube]
pub fn over_lanes(value: f32, scratch: &mut Shared<[f32]>, #[comptime] largest: bool, #[comptime] planes: bool) -> f32 {
    if comptime!(planes && largest) {
        plane_max(value)
    } else if comptime!(planes) {
        plane_sum(value)
    } else {
        sync_cube();
        scratch[UNIT_POS as usize] = value;
        sync_cube();
        let first = (UNIT_POS_Y * LANES) as usize;
        let mut folded = scratch[first];
        for lane in 1..LANES {
            let value = scratch[first + lane as usize];
            folded = if comptime!(largest) { max(folded, value) } else { folded + value };
        }
        folded
    }
}

/// The sum or, with `largest`, the maximum over all units of a cube of `units` units, for each of `count` values,
/// returned in each unit. Every unit of the cube must call this function, and `scratch` has `count * units` values.
#[cube]
pub fn over_units(
    values: &mut Array<f32>,
    scratch: &mut Shared<[f32]>,
    #[comptime] count: u32,
    #[comptime] units: u32,
    #[comptime] largest: bool,
    #[comptime] planes: bool,
) {
    // With plane operations, one value is left per plane.
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

/// The sum over the units of a plane that are `width` apart, returned in each of them.
#[cube]
pub fn over_strides(value: f32, #[comptime] width: u32) -> f32 {
    let mut sum = value;
    #[unroll]
    for step in 0..comptime!((LANES / width).ilog2()) {
        sum += plane_shuffle_xor(sum, comptime!(width << step));
    }
    sum
}
