//! Block smoothing for progressive images with missing last scans: unknown low AC coefficients are estimated from the
//! DC coefficients of 5 x 5 blocks (libjpeg-turbo 3.2, an extension of ITU-T T.81, K.8).

use super::entropy::Block;
use super::progress::Missing;

/// DC coefficients of a block and its neighbors in row order, replicated at the image edges.
pub(crate) type Neighbors = [[i32; 5]; 5];

/// Positions of the estimated coefficients in a block, in zigzag order from the second coefficient on.
const POSITIONS: [usize; 9] = [1, 8, 16, 9, 2, 3, 10, 17, 24];

/// Weights of the neighbors if no AC coefficient is known.
#[rustfmt::skip]
const BLIND: [[[i32; 5]; 5]; 9] = [
    [[-1, -1, 0, 1, 1], [-3, 13, 0, -13, 3], [-3, 38, 0, -38, 3], [-3, 13, 0, -13, 3], [-1, -1, 0, 1, 1]],
    [[-1, -3, -3, -3, -1], [-1, 13, 38, 13, -1], [0; 5], [1, -13, -38, -13, 1], [1, 3, 3, 3, 1]],
    [[0, 0, 1, 0, 0], [0, 2, 7, 2, 0], [0, -5, -14, -5, 0], [0, 2, 7, 2, 0], [0, 0, 1, 0, 0]],
    [[-1, 0, 0, 0, 1], [0, 9, 0, -9, 0], [0; 5], [0, -9, 0, 9, 0], [1, 0, 0, 0, -1]],
    [[0; 5], [0, 2, -5, 2, 0], [1, 7, -14, 7, 1], [0, 2, -5, 2, 0], [0; 5]],
    [[0; 5], [0, 1, 0, -1, 0], [0, 2, 0, -2, 0], [0, 1, 0, -1, 0], [0; 5]],
    [[0; 5], [0, 1, -3, 1, 0], [0; 5], [0, -1, 3, -1, 0], [0; 5]],
    [[0; 5], [0, 1, 0, -1, 0], [0, -3, 0, 3, 0], [0, 1, 0, -1, 0], [0; 5]],
    [[0; 5], [0, 1, 2, 1, 0], [0; 5], [0, -1, -2, -1, 0], [0; 5]],
];

/// Weights for the DC coefficient itself if no AC coefficient is known.
const MEAN: [[i32; 5]; 5] =
    [[-2, -6, -8, -6, -2], [-6, 6, 42, 6, -6], [-8, 42, 152, 42, -8], [-6, 6, 42, 6, -6], [-2, -6, -8, -6, -2]];

/// Weights if some AC coefficients are known; only the first five are then estimated.
#[rustfmt::skip]
const PARTIAL: [[[i32; 5]; 5]; 5] = [
    [[0; 5], [0; 5], [-7, 50, 0, -50, 7], [0; 5], [0; 5]],
    [[0, 0, -7, 0, 0], [0, 0, 50, 0, 0], [0; 5], [0, 0, -50, 0, 0], [0, 0, 7, 0, 0]],
    [[0, 0, -1, 0, 0], [0, 0, 13, 0, 0], [0, 0, -24, 0, 0], [0, 0, 13, 0, 0], [0, 0, -1, 0, 0]],
    [[0, -1, 0, 1, 0], [-1, 10, 0, -10, 1], [0; 5], [1, -10, 0, 10, -1], [0, 1, 0, -1, 0]],
    [[0; 5], [0; 5], [-1, 13, -24, 13, -1], [0; 5], [0; 5]],
];

/// Estimates the coefficients of a block that are zero and not exactly known.
pub(crate) fn smooth(block: &mut Block, neighbors: &Neighbors, missing: &Missing, steps: &[u16; 64]) {
    let dc_step = i64::from(steps[0]);
    let blind = missing[1..].iter().all(|&bits| bits == -1);
    let weights = if blind { &BLIND[..] } else { &PARTIAL[..] };
    for ((&index, weights), &bits) in POSITIONS.iter().zip(weights).zip(&missing[1..]) {
        if bits != 0 && block[index] == 0 {
            let value = divide(dc_step * weighted_sum(neighbors, weights), steps[index]);
            // The refinement of a later scan is smaller than the last known bit.
            let limit = if bits > 0 { (1 << bits) - 1 } else { i32::MAX };
            block[index] = value.clamp(-limit, limit) as i16;
        }
    }
    if blind {
        block[0] = divide(dc_step * weighted_sum(neighbors, &MEAN), steps[0]) as i16;
    }
}

fn weighted_sum(neighbors: &Neighbors, weights: &[[i32; 5]; 5]) -> i64 {
    let products = neighbors.as_flattened().iter().zip(weights.as_flattened());
    products.map(|(&dc, &weight)| i64::from(dc) * i64::from(weight)).sum()
}

/// `sum / (256 * step)`, rounded half away from zero.
fn divide(sum: i64, step: u16) -> i32 {
    let step = i64::from(step);
    let size = ((step << 7) + sum.abs()) / (step << 8);
    (if sum < 0 { -size } else { size }) as i32
}
