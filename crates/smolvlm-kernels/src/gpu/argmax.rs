//! Token embedding and argmax: the first and the last kernel of a decode step.

use super::attention::IDLE;
use cubecl::prelude::*;

/// Units per cube of [`embed`].
pub const UNITS: u32 = 256;

/// Looks up the embeddings of the tokens, one cube per row. As the first kernel of a step, it increments the number of
/// tokens of each row that is not idle, and the number of steps.
#[cube(launch_unchecked)]
pub fn embed<W: Float, N: Size>(
    table: &[Vector<W, N>],
    tokens: &[u32],
    lens: &mut [u32],
    steps: &mut [u32],
    out: &mut [Vector<f32, N>],
    #[comptime] width: u32,
    #[define(W)] _element: ElemType,
) {
    let row = CUBE_POS_X;
    if UNIT_POS == 0 {
        if row == 0 {
            steps[0] += 1;
        }
        let len = lens[row as usize];
        if len != IDLE {
            lens[row as usize] = len + 1;
        }
    }
    let token = tokens[row as usize];
    let mut index = UNIT_POS;
    while index < width {
        out[(row * width + index) as usize] = Vector::cast_from(table[(token * width + index) as usize]);
        index += UNITS;
    }
}

/// Argmax over the logits of each row; of equal logits, the first. Each cube handles a row, with `units` units, a power
/// of two. Writes the token to `tokens`, and the token and the bits of its logit to `found`, `[slot, row, 2]`, whose
/// slot is the lowest bit of the number of steps.
#[cube(launch_unchecked)]
pub fn argmax<N: Size>(
    logits: &[Vector<f32, N>],
    tokens: &mut [u32],
    found: &mut [u32],
    steps: &[u32],
    rows: u32,
    #[comptime] width: u32,
    #[comptime] units: u32,
) {
    let row = CUBE_POS_X;
    let step = steps[0];
    // A comparison with NaN is false, so NaN is never selected.
    let (mut best, mut token) = (f32::min_value(), 0u32);
    let lanes = N::value();
    let lanes = comptime!(lanes as u32);
    let mut index = UNIT_POS;
    while index < width {
        let vector = logits[(row * width + index) as usize];
        #[unroll]
        for lane in 0..lanes {
            let logit = vector.extract(lane as usize);
            if logit > best {
                best = logit;
                token = index * lanes + lane;
            }
        }
        index += units;
    }
    let mut logits = Shared::<[f32]>::new_slice(units as usize);
    let mut indices = Shared::<[u32]>::new_slice(units as usize);
    logits[UNIT_POS as usize] = best;
    indices[UNIT_POS as usize] = token;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(units.ilog2()) {
        let half = comptime!(units >> (step + 1));
        if UNIT_POS < half {
            let (here, there) = (UNIT_POS as usize, (UNIT_POS + half) as usize);
            let (a, b) = (logits[here], logits[there]);
            if b > a || (b == a && indices[there] < indices[here]) {
                logits[here] = b;
                indices[here] = indices[there];
            }
        }
        sync_cube();
    }
    if UNIT_POS == 0 {
        let at = ((step % 2) * rows * 2 + row * 2) as usize;
        tokens[row as usize] = indices[0];
        found[at] = indices[0];
        found[at + 1] = u32::reinterpret(logits[0]);
    }
}
