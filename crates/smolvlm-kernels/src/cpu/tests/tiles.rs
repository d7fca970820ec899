//! Microkernels of the detected instruction set against the portable ones.

use super::Rng;
use crate::GROUP;
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{COLUMNS, GROUP_LINES, Operand, QuantParams, ROWS, Tile, bf16_tile, f32_tile, plain};
use crate::cpu::micro::{q4_tile, q8_tile};

const STRIDE: usize = COLUMNS + 7;

/// Calls a kernel for one tile, checks that it writes nothing outside the tile, and returns the tile.
fn run(rows: usize, kernel: impl FnOnce(Tile<'_>)) -> Vec<f32> {
    let untouched = f32::from_bits(0x7fc0_1234);
    let mut sums = vec![untouched; (ROWS + 1) * STRIDE];
    kernel(Tile { sums: &mut sums, stride: STRIDE });
    for (index, sum) in sums.iter().enumerate() {
        let inside = index / STRIDE < rows && index % STRIDE < COLUMNS;
        assert!(inside || sum.to_bits() == untouched.to_bits(), "wrote to {index} of {rows} rows");
    }
    sums.chunks(STRIDE).take(rows).flat_map(|row| row[..COLUMNS].to_vec()).collect()
}

fn assert_close(found: &[f32], reference: &[f32], size: f32, what: &str) {
    assert_eq!(found.len(), reference.len());
    for (found, reference) in found.iter().zip(reference) {
        assert!(
            (found - reference).abs() <= 1e-5 * size || found.is_nan() && reference.is_nan(),
            "{what}: {found}, not {reference}"
        );
    }
}

fn lines(words: &[u32]) -> Vec<CacheLine> {
    words.chunks_exact(16).map(|line| CacheLine(line.try_into().unwrap())).collect()
}

#[test]
fn float_tiles_match_the_portable_kernels() {
    let mut rng = Rng::new(1);
    for rows in 1..=ROWS {
        for _ in 0..8 {
            let (count, extra) = (1 + rng.below(3), rng.below(20));
            let steps = if rng.below(2) == 0 { 1 + rng.below(70) } else { 16 * (1 + rng.below(4)) };
            let stride = count * steps + extra;
            let mut word = |pairs: bool| {
                let mut bits = || half::bf16::from_f32(rng.value()).to_bits();
                if pairs { u32::from(bits()) | u32::from(bits()) << 16 } else { rng.value().to_bits() }
            };
            for pairs in [false, true] {
                let words: Vec<u32> = (0..rows * stride).map(|_| word(pairs)).collect();
                let panel = lines(&(0..count * steps * COLUMNS).map(|_| word(pairs)).collect::<Vec<_>>());
                let panels: Vec<&[CacheLine]> = panel.chunks_exact(2 * steps).collect();
                let a = Operand { words: &words, stride, rows };
                let what = format!("{rows} rows, {count} panels of {steps} steps, pairs {pairs}");
                let size = (2 * count * steps) as f32;
                let tall = if pairs { bf16_tile } else { f32_tile };
                let whole = run(rows, |out| tall(a, &[&panel], count * steps, out));
                let stacked = run(rows, |out| tall(a, &panels, steps, out));
                // Pages of keys have such steps: their number must not change sums.
                if steps.is_multiple_of(16) {
                    assert_eq!(whole, stacked, "{what}");
                }
                assert_close(&whole, &stacked, size, &what);
                if pairs {
                    let found = run(rows, |out| bf16_tile(a, &panels, steps, out));
                    assert_close(&found, &run(rows, |out| plain::bf16_tile(a, &panels, steps, out)), size, &what);
                } else {
                    let found = run(rows, |out| f32_tile(a, &panels, steps, out));
                    assert_close(&found, &run(rows, |out| plain::f32_tile(a, &panels, steps, out)), size, &what);
                }
            }
        }
    }
}

#[test]
fn infinity_and_nan_propagate() {
    let row = [1.0, f32::INFINITY, f32::NAN, 1e-40];
    let panel: Vec<CacheLine> = row.iter().flat_map(|_| [CacheLine([1.0_f32.to_bits(); 16]); 2]).collect();
    for (steps, check) in [(1, f32::is_finite as fn(f32) -> bool), (2, f32::is_infinite), (3, f32::is_nan)] {
        let words = row.map(f32::to_bits);
        let a = Operand { words: &words, stride: 4, rows: 1 };
        assert!(run(1, |out| f32_tile(a, &[&panel], steps, out)).into_iter().all(check), "{steps} steps");
        assert!(run(1, |out| plain::f32_tile(a, &[&panel], steps, out)).into_iter().all(check), "{steps} steps");
        // The same with the values in the high halves of pairs.
        let a = Operand { words: &words.map(|word| word & 0xffff_0000), stride: 4, rows: 1 };
        assert!(run(1, |out| bf16_tile(a, &[&panel], steps, out)).into_iter().all(check), "{steps} steps of pairs");
    }
}

#[test]
fn integer_tiles_are_exact() {
    let mut rng = Rng::new(2);
    for rows in 1..=ROWS {
        let (steps, extra) = (1 + rng.below(300), rng.below(9));
        let stride = steps + extra;
        // Also the extreme case: all values of the largest magnitude.
        for largest in [false, true] {
            let mut word = || if largest { 0x8181_8181 } else { rng.below(1 << 31) as u32 };
            let words: Vec<u32> = (0..rows * stride).map(|_| word()).collect();
            let mut word = || if largest { u32::MAX } else { rng.below(1 << 31) as u32 };
            let panel = lines(&(0..steps * COLUMNS).map(|_| word()).collect::<Vec<_>>());
            let zero: Vec<i32> = (0..rows).map(|_| rng.below(1000) as i32 - 500).collect();
            let (scale, scales) = (vec![1.0; rows], vec![1.0; COLUMNS]);
            let (a, q) = (Operand { words: &words, stride, rows }, QuantParams { scale: &scale, zero: &zero });
            let found = run(rows, |out| q8_tile(a, q, &panel, &scales, steps, out));
            assert_eq!(found, run(rows, |out| plain::q8_tile(a, q, &panel, &scales, steps, out)));
            for row in 0..rows {
                for column in 0..COLUMNS {
                    let sum: i64 = (0..steps)
                        .flat_map(|step| {
                            let values = words[row * stride + step].to_le_bytes();
                            let weights = panel[2 * step + column / 16].0[column % 16].to_le_bytes();
                            [0, 1, 2, 3].map(|byte| i64::from(values[byte] as i8) * i64::from(weights[byte]))
                        })
                        .sum();
                    assert_eq!(found[row * COLUMNS + column], (sum + i64::from(zero[row])) as f32);
                }
            }
        }
    }
}

#[test]
fn four_bit_tiles_match_the_portable_kernels() {
    let mut rng = Rng::new(3);
    for rows in 1..=ROWS {
        for _ in 0..4 {
            let (groups, extra) = (1 + rng.below(9), rng.below(9));
            let stride = groups * GROUP / 4 + extra;
            let words: Vec<u32> = (0..rows * stride).map(|_| rng.below(1 << 31) as u32).collect();
            let mut panel =
                lines(&(0..groups * GROUP_LINES * 16).map(|_| rng.below(1 << 31) as u32).collect::<Vec<_>>());
            for group in panel.chunks_exact_mut(GROUP_LINES) {
                let mut bits = || u32::from(half::bf16::from_f32(rng.value()).to_bits());
                group[GROUP_LINES - 1].0.fill_with(|| bits() | bits() << 16);
            }
            let zero: Vec<i32> = (0..rows * groups).map(|_| rng.below(1000) as i32 - 500).collect();
            let scale = rng.values(rows);
            let (a, q) = (Operand { words: &words, stride, rows }, QuantParams { scale: &scale, zero: &zero });
            let found = run(rows, |out| q4_tile(a, q, &panel, groups, out));
            let reference = run(rows, |out| plain::q4_tile(a, q, &panel, groups, out));
            assert_close(
                &found,
                &reference,
                (groups * GROUP * 127 * 15) as f32,
                &format!("{rows} rows, {groups} groups"),
            );
        }
    }
}
