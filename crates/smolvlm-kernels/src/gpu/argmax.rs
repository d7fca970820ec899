//! From token to embedding, and from logits to token.

use cubecl::prelude::*;

/// Units of a cube that embeds.
pub const UNITS: u32 = 256;

/// The rows of a table that belong to the tokens. A cube is a row. It begins a step: `len[0]` counts the new token from here on.
#[cube(launch_unchecked)]
pub fn embed<W: Float, N: Size>(
    table: &[Vector<W, N>],
    tokens: &[u32],
    len: &mut [u32],
    out: &mut [Vector<f32, N>],
    #[comptime] width: u32,
    #[define(W)] _element: ElemType,
) {
    let row = CUBE_POS_X;
    if row == 0 && UNIT_POS == 0 {
        len[0] += 1;
    }
    let token = tokens[row as usize];
    let mut index = UNIT_POS;
    while index < width {
        out[(row * width + index) as usize] = Vector::cast_from(table[(token * width + index) as usize]);
        index += UNITS;
    }
}

/// The first of the largest logits of each row, a cube of so many units, a power of two, to `tokens`; the same with its logit's bits to `found`, `[slot, row, 2]`
/// with the last bit of the number of cached tokens as the slot.
#[cube(launch_unchecked)]
pub fn argmax<N: Size>(
    logits: &[Vector<f32, N>],
    tokens: &mut [u32],
    found: &mut [u32],
    len: &[u32],
    rows: u32,
    #[comptime] width: u32,
    #[comptime] units: u32,
) {
    let row = CUBE_POS_X;
    let seen = len[0];
    // Not a number is never larger.
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
        let at = ((seen % 2) * rows * 2 + row * 2) as usize;
        tokens[row as usize] = indices[0];
        found[at] = indices[0];
        found[at + 1] = u32::reinterpret(logits[0]);
    }
}
