//! The most likely tokens of each row, for sampling on the host.

use super::hardware::has_planes;
use super::reduce::over_units;
use crate::TopTokens;
use cubecl::prelude::*;
use cubecl::server::Handle;

/// Units per cube.
const UNITS: u32 = 256;
/// Bits of the threshold that a pass over the logits finds.
const BITS: u32 = 2;
/// Maximum number of most likely tokens.
pub const MAX_TOP: usize = 64;
/// Tokens per row for which there is room: those asked for, and those whose logit equals the least of them.
const CAPACITY: usize = 2 * MAX_TOP;
/// Words per row: the number of tokens, which may be larger than the capacity, then each token with its logit.
const WORDS: usize = 1 + 2 * CAPACITY;

/// The tokens of each row of `logits`, `[rows, vocabulary]`, whose logit is at least the `count`-th largest one, in
/// ascending order, with their logits. None for a row in which too many logits are equal. NaN is skipped.
///
/// # Errors
///
/// The error message of the device.
pub fn top(
    client: &Client,
    [rows, vocabulary]: [usize; 2],
    logits: &Handle,
    count: usize,
) -> Result<Vec<Option<TopTokens>>, String> {
    let lanes = if vocabulary.is_multiple_of(4) { 4 } else { 1 };
    let found = client.empty(4 * rows * WORDS);
    // SAFETY: the buffers have the lengths of their shapes.
    unsafe {
        find_top::launch_unchecked(
            client,
            CubeCount::Static(rows as u32, 1, 1),
            CubeDim::new_1d(UNITS),
            lanes,
            BufferArg::from_raw_parts(logits.clone(), rows * vocabulary),
            BufferArg::from_raw_parts(found.clone(), rows * WORDS),
            (vocabulary / lanes) as u32,
            count.min(MAX_TOP) as u32,
            has_planes(client),
        );
    }
    let bytes = client.read_one(found).map_err(|error| error.to_string())?;
    let row = |words: &[u32]| {
        let (&count, words) = words.split_first()?;
        let tokens = words.chunks_exact(2).map(|pair| (pair[0], f32::from_bits(pair[1])));
        let mut tokens: TopTokens = tokens.take(count as usize).collect();
        tokens.sort_unstable_by_key(|(token, _)| *token);
        (tokens.len() == count as usize).then_some(tokens)
    };
    Ok(u32::from_bytes(&bytes).chunks_exact(WORDS).map(row).collect())
}

/// A number whose order is that of the logits; 0 for NaN.
#[cube]
fn rank(logit: f32) -> u32 {
    // Both zeros are equal.
    let bits = select(logit == 0.0f32, 0u32, u32::reinterpret(logit));
    let ordered = select(bits >> 31 == 1, !bits, bits | 0x8000_0000u32);
    select(logit.is_nan(), 0u32, ordered)
}

/// Finds the rank of the `count`-th largest logit of a row, a few bits in each pass, and writes all tokens that have at
/// least this rank.
#[cube(launch_unchecked)]
fn find_top<N: Size>(logits: &[Vector<f32, N>], found: &mut [u32], width: u32, count: u32, #[comptime] planes: bool) {
    let row = CUBE_POS_X;
    let lanes = N::value();
    let lanes = comptime!(lanes as u32);
    let digits = comptime!((1u32 << BITS) - 1);
    let mut scratch = Shared::<[f32]>::new_slice(comptime!(digits * UNITS) as usize);
    let mut threshold = 0u32;
    #[unroll]
    for pass in 0..comptime!(32 / BITS) {
        let shift = comptime!(32 - BITS * (pass + 1));
        let mut counts = Array::<f32>::new(digits as usize);
        #[unroll]
        for digit in 0..digits as usize {
            counts[digit] = 0.0f32;
        }
        let mut index = UNIT_POS;
        while index < width {
            let vector = logits[(row * width + index) as usize];
            #[unroll]
            for lane in 0..lanes {
                let rank = rank(vector.extract(lane as usize));
                #[unroll]
                for digit in 0..digits {
                    let least = threshold | comptime!((digit + 1) << shift);
                    counts[digit as usize] += select(rank >= least, 1.0f32, 0.0f32);
                }
            }
            index += UNITS;
        }
        over_units(&mut counts, &mut scratch, digits, UNITS, false, planes);
        let mut next = threshold;
        #[unroll]
        for digit in 0..digits {
            if counts[digit as usize] >= f32::cast_from(count) {
                next = threshold | comptime!((digit + 1) << shift);
            }
        }
        threshold = next;
    }
    // With fewer numbers than `count`, all of them.
    let threshold = max(threshold, 1u32);
    let mut own = 0u32;
    let mut index = UNIT_POS;
    while index < width {
        let vector = logits[(row * width + index) as usize];
        #[unroll]
        for lane in 0..lanes {
            own += select(rank(vector.extract(lane as usize)) >= threshold, 1u32, 0u32);
        }
        index += UNITS;
    }
    let mut before = Shared::<[u32]>::new_slice(comptime!(UNITS + 1) as usize);
    before[(UNIT_POS + 1) as usize] = own;
    sync_cube();
    let start = row * comptime!(WORDS as u32);
    if UNIT_POS == 0 {
        before[0] = 0u32;
        for unit in 0..UNITS {
            let sum = before[unit as usize] + before[(unit + 1) as usize];
            before[(unit + 1) as usize] = sum;
        }
        found[start as usize] = before[comptime!(UNITS as usize)];
    }
    sync_cube();
    let mut place = before[UNIT_POS as usize];
    let mut index = UNIT_POS;
    while index < width {
        let vector = logits[(row * width + index) as usize];
        #[unroll]
        for lane in 0..lanes {
            let logit = vector.extract(lane as usize);
            if rank(logit) >= threshold {
                if place < comptime!(CAPACITY as u32) {
                    let at = (start + 1 + 2 * place) as usize;
                    found[at] = index * lanes + lane;
                    found[at + 1] = u32::reinterpret(logit);
                }
                place += 1;
            }
        }
        index += UNITS;
    }
}
