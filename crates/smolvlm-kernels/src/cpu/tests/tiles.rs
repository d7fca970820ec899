//! Microkernels of the detected instruction set against the portable ones.

use super::Rng;
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::micro::{COLUMNS, Operand, Q4_LINES, Q8_LINES, QuantParams, ROWS, Tile, kernels, plain};
use crate::cpu::micro::{bf16_tile, bf16_tiles, f32_tile, f32_tiles, q4_tile, q8_tile};
use crate::{Q4_GROUP, Q8_GROUP};

const STRIDE: usize = COLUMNS + 7;

/// A kernel for floats.
type Float = fn(Operand<'_>, &[&[CacheLine]], usize, Tile<'_>);

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
fn tiles_side_by_side_equal_single_ones() {
    let mut rng = Rng::new(5);
    for rows in [1, 2, 15, 16, 17, 31, 32, 33, ROWS] {
        for steps in [1, 16, 32, 36, 50] {
            let (count, stride) = (1 + rng.below(5), steps + rng.below(9));
            let mut words = |count: usize| -> Vec<u32> {
                let mut bits = || u32::from(half::bf16::from_f32(rng.value()).to_bits());
                (0..count).map(|_| bits() | bits() << 16).collect()
            };
            let (values, panel) = (words(rows * stride), lines(&words(count * steps * COLUMNS)));
            let panels: Vec<&[CacheLine]> = panel.chunks_exact(2 * steps).collect();
            let a = Operand { words: &values, stride, rows };
            let out_stride = count * COLUMNS + 3;
            let untouched = f32::from_bits(0x7fc0_1234);
            for (kernel, single) in [(bf16_tiles as Float, bf16_tile as Float), (f32_tiles, f32_tile)] {
                let mut sums = vec![untouched; rows * out_stride];
                kernel(a, &panels, steps, Tile { sums: &mut sums, stride: out_stride });
                for (index, panel) in panels.iter().enumerate() {
                    let wanted = run(rows, |out| single(a, &[panel], steps, out));
                    for (sums, wanted) in sums.chunks(out_stride).zip(wanted.chunks(COLUMNS)) {
                        let found = sums[index * COLUMNS..][..COLUMNS].iter().map(|sum| sum.to_bits());
                        assert!(found.eq(wanted.iter().map(|sum| sum.to_bits())), "{rows} rows, {steps} steps");
                    }
                }
                let between = sums.chunks(out_stride).flat_map(|sums| &sums[count * COLUMNS..]);
                assert!(between.into_iter().all(|sum| sum.to_bits() == untouched.to_bits()));
            }
        }
    }
}

#[test]
fn infinity_and_nan_propagate() {
    let row = [1.0, f32::INFINITY, f32::NAN, 1e-40];
    let panel: Vec<CacheLine> = row.iter().flat_map(|_| [CacheLine([1.0_f32.to_bits(); 16]); 2]).collect();
    for (steps, check) in [(1, f32::is_finite as fn(f32) -> bool), (2, f32::is_infinite), (3, f32::is_nan)] {
        for rows in [1, 3, ROWS] {
            let words = row.map(f32::to_bits).repeat(rows);
            let a = Operand { words: &words, stride: 4, rows };
            for kernel in [f32_tile, plain::f32_tile] {
                assert!(run(rows, |out| kernel(a, &[&panel], steps, out)).into_iter().all(check), "{steps} steps");
            }
            // The same with the values in the high halves of pairs.
            let words: Vec<u32> = words.iter().map(|word| word & 0xffff_0000).collect();
            let a = Operand { words: &words, stride: 4, rows };
            for kernel in [bf16_tile, plain::bf16_tile] {
                assert!(
                    run(rows, |out| kernel(a, &[&panel], steps, out)).into_iter().all(check),
                    "{steps} steps of pairs"
                );
            }
        }
    }
}

/// Random words for rows, for a panel of groups of `lines` lines, whose last `scale_lines` hold scales, and the
/// parameters of the rows.
struct QuantizedCase {
    rows: usize,
    groups: usize,
    stride: usize,
    words: Vec<u32>,
    panel: Vec<CacheLine>,
    scale: Vec<f32>,
    offset: Vec<i32>,
}

impl QuantizedCase {
    /// Offsets are sums of the row's bytes times `factor`.
    fn new(
        rng: &mut Rng,
        rows: usize,
        [group, group_lines, scale_lines]: [usize; 3],
        factor: i32,
        largest: bool,
    ) -> Self {
        let groups = 1 + rng.below(9);
        let stride = groups * group / 4 + rng.below(9);
        let mut words = |count: usize, extreme: u32| -> Vec<u32> {
            (0..count).map(|_| if largest { extreme } else { rng.below(1 << 31) as u32 ^ extreme }).collect()
        };
        let values = words(rows * stride, 0x8181_8181);
        let mut panel = lines(&words(groups * group_lines * 16, u32::MAX));
        for group in panel.chunks_exact_mut(group_lines) {
            let mut bits = || u32::from(half::bf16::from_f32(rng.value()).to_bits());
            for line in &mut group[group_lines - scale_lines..] {
                line.0.fill_with(|| bits() | bits() << 16);
            }
        }
        let sum = |words: &[u32]| {
            words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| i32::from(byte as i8)).sum::<i32>()
        };
        let offset = (0..rows * groups)
            .map(|index| factor * sum(&values[index / groups * stride + index % groups * group / 4..][..group / 4]))
            .collect();
        Self { rows, groups, stride, words: values, panel, scale: rng.values(rows * groups), offset }
    }

    fn operand(&self) -> (Operand<'_>, QuantParams<'_>) {
        let a = Operand { words: &self.words, stride: self.stride, rows: self.rows };
        (a, QuantParams { scale: &self.scale, offset: &self.offset })
    }

    /// The byte of a row at an input.
    fn value(&self, row: usize, input: usize) -> f64 {
        f64::from(self.words[row * self.stride + input / 4].to_le_bytes()[input % 4] as i8)
    }
}

/// The scale of a column in a line.
fn scale(line: &CacheLine, column: usize) -> f64 {
    half::bf16::from_bits((line.0[column % 16] >> (16 * (column / 16))) as u16).to_f64()
}

#[test]
fn eight_bit_tiles_are_accurate() {
    let mut rng = Rng::new(2);
    for rows in 1..=ROWS {
        for largest in [false, true] {
            let case = QuantizedCase::new(&mut rng, rows, [Q8_GROUP, Q8_LINES, 1], -128, largest);
            let (a, q) = case.operand();
            let reference: Vec<f32> = (0..rows * COLUMNS)
                .map(|index| {
                    let (row, column) = (index / COLUMNS, index % COLUMNS);
                    let group_sum = |group: usize| {
                        let lines = &case.panel[group * Q8_LINES..][..Q8_LINES];
                        let products = (0..Q8_GROUP).map(|input| {
                            let word = lines[2 * (input / 4) + column / 16].0[column % 16];
                            case.value(row, group * Q8_GROUP + input) * f64::from(word.to_le_bytes()[input % 4])
                        });
                        let sum = products.sum::<f64>() + f64::from(q.offset[row * case.groups + group]);
                        sum * f64::from(q.scale[row * case.groups + group]) * scale(&lines[Q8_LINES - 1], column)
                    };
                    (0..case.groups).map(group_sum).sum::<f64>() as f32
                })
                .collect();
            let size = (case.groups * Q8_GROUP * 127 * 255) as f32 / 4.0;
            for kernel in [q8_tile, plain::q8_tile] {
                let found = run(rows, |out| kernel(a, q, &case.panel, case.groups, out));
                assert_close(&found, &reference, size, &format!("{rows} rows, {} groups", case.groups));
            }
        }
    }
}

#[test]
fn four_bit_tiles_are_accurate() {
    let mut rng = Rng::new(3);
    for rows in 1..=ROWS {
        for largest in [false, true] {
            let case = QuantizedCase::new(&mut rng, rows, [Q4_GROUP, Q4_LINES, 2], 1, largest);
            let (a, q) = case.operand();
            let reference: Vec<f32> = (0..rows * COLUMNS)
                .map(|index| {
                    let (row, column) = (index / COLUMNS, index % COLUMNS);
                    let group_sum = |group: usize| {
                        let lines = &case.panel[group * Q4_LINES..][..Q4_LINES];
                        let products = (0..Q4_GROUP).map(|input| {
                            let step = input / 4 % (Q4_GROUP / 8);
                            let byte = lines[2 * step + column / 16].0[column % 16].to_le_bytes()[input % 4];
                            let code = if input < Q4_GROUP / 2 { byte & 15 } else { byte >> 4 };
                            case.value(row, group * Q4_GROUP + input) * f64::from(code)
                        });
                        let minimum = scale(&lines[Q4_LINES - 1], column);
                        let sum = products.sum::<f64>() * scale(&lines[Q4_LINES - 2], column)
                            + f64::from(q.offset[row * case.groups + group]) * minimum;
                        sum * f64::from(q.scale[row * case.groups + group])
                    };
                    (0..case.groups).map(group_sum).sum::<f64>() as f32
                })
                .collect();
            let size = (case.groups * Q4_GROUP * 127 * 15) as f32 / 4.0;
            for kernel in [q4_tile, plain::q4_tile] {
                let found = run(rows, |out| kernel(a, q, &case.panel, case.groups, out));
                assert_close(&found, &reference, size, &format!("{rows} rows, {} groups", case.groups));
            }
        }
    }
}

#[test]
fn converted_panels_equal_those_of_the_portable_kernels() {
    let mut rng = Rng::new(4);
    let kernels = kernels();
    let eight = (kernels.q8_to_bf16, plain::q8_to_bf16 as fn(&[CacheLine], &mut [CacheLine]), Q8_GROUP, Q8_LINES, 1);
    let four = (kernels.q4_to_bf16, plain::q4_to_bf16 as _, Q4_GROUP, Q4_LINES, 2);
    for (kernel, portable, group, group_lines, scale_lines) in [eight, four] {
        for largest in [false, true] {
            let case = QuantizedCase::new(&mut rng, 1, [group, group_lines, scale_lines], 1, largest);
            let mut converted = vec![CacheLine::default(); case.groups * group];
            let mut wanted = converted.clone();
            kernel(&case.panel, &mut converted);
            portable(&case.panel, &mut wanted);
            for (line, wanted) in converted.iter().zip(&wanted) {
                for (word, wanted) in line.0.into_iter().zip(wanted.0) {
                    for shift in [0, 16] {
                        let [found, wanted] =
                            [word, wanted].map(|word| half::bf16::from_bits((word >> shift) as u16).to_f32());
                        // Sums are rounded once or twice.
                        assert!((found - wanted).abs() <= 0.008 * wanted.abs() + 1e-5, "{found} {wanted}");
                    }
                }
            }
        }
    }
}
