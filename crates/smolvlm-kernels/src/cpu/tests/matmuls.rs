//! Matrix products with packed weights.

use super::{Rng, rounded_to_bf16};
use crate::cpu::{
    Epilogue, Matrix, PackedLhs, PackedMatrix, Pool, Precision, QuantizedRows, gated_matmul, hadamard, matmuls,
    prepare_weights, quantize_q4, quantize_q8,
};
use crate::{Activation, PackedFormat};

const FORMATS: [PackedFormat; 5] =
    [PackedFormat::F32, PackedFormat::Bf16, PackedFormat::Bf16Weights, PackedFormat::Q8, PackedFormat::Q4];

fn packed(outputs: usize, inputs: usize, format: PackedFormat, weights: &[f32]) -> PackedMatrix {
    let row = |row: usize, out: &mut [f32]| -> Result<(), ()> {
        out.copy_from_slice(&weights[row * inputs..][..inputs]);
        Ok(())
    };
    PackedMatrix::pack(outputs, inputs, format, row).unwrap()
}

fn activations(pool: &Pool, format: PackedFormat, inputs: usize, values: &[f32]) -> PackedLhs {
    let mut x = PackedLhs::new(format);
    x.fill(pool, values.len() / inputs, inputs, |row, out| out.copy_from_slice(&values[row * inputs..][..inputs]));
    x
}

fn run(pool: &Pool, x: &PackedLhs, matrix: &PackedMatrix) -> Vec<f32> {
    let mut out = Matrix::new();
    out.resize(x.rows(), matrix.outputs());
    matmuls(pool, x, [(matrix, Epilogue::store(&mut out))]);
    (0..x.rows()).flat_map(|row| out.row(row).to_vec()).collect()
}

/// A value after rounding.
type Rounded = fn(f32) -> f64;

#[test]
fn products_are_accurate_for_all_shapes_and_formats() {
    let (pool, mut rng) = (Pool::new(2).unwrap(), Rng::new(7));
    for _ in 0..40 {
        let (rows, outputs, inputs) = (1 + rng.below(40), 1 + rng.below(100), 1 + rng.below(150));
        let (weights, values) = (rng.values(outputs * inputs), rng.values(rows * inputs));
        for format in FORMATS {
            let found =
                run(&pool, &activations(&pool, format, inputs, &values), &packed(outputs, inputs, format, &weights));
            // The rounding error of one value; errors of random sign add up with the square root of their number.
            let (rounding, weight, value): (f64, Rounded, Rounded) = match format {
                PackedFormat::F32 => (1e-6, f64::from, f64::from),
                PackedFormat::Bf16 => (1e-6, rounded_to_bf16, rounded_to_bf16),
                PackedFormat::Bf16Weights => (1e-6, rounded_to_bf16, f64::from),
                PackedFormat::Q8 => (0.5 / 127.0, f64::from, f64::from),
                PackedFormat::Q4 => (0.5 / 7.5, f64::from, f64::from),
            };
            let tolerance = 6.0 * rounding * (inputs as f64).sqrt();
            for row in 0..rows {
                for output in 0..outputs {
                    let pairs = values[row * inputs..].iter().zip(&weights[output * inputs..]).take(inputs);
                    let wanted: f64 = pairs.map(|(x, w)| value(*x) * weight(*w)).sum();
                    let found = f64::from(found[row * outputs + output]);
                    assert!(
                        (found - wanted).abs() <= tolerance,
                        "{format:?} {rows} {outputs} {inputs}: {found} {wanted}"
                    );
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_threads_or_other_rows() {
    let mut rng = Rng::new(8);
    let (rows, outputs, inputs) = (300, 70, 1000);
    let (weights, values) = (rng.values(outputs * inputs), rng.values(rows * inputs));
    for format in FORMATS {
        let matrix = packed(outputs, inputs, format, &weights);
        let single = Pool::new(1).unwrap();
        let wanted = run(&single, &activations(&single, format, inputs, &values), &matrix);
        for threads in [2, 3, 7] {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(run(&pool, &activations(&pool, format, inputs, &values), &matrix), wanted, "{threads} threads");
        }
        for row in [0, 17, 299] {
            let x = activations(&single, format, inputs, &values[row * inputs..][..inputs]);
            assert_eq!(run(&single, &x, &matrix), wanted[row * outputs..][..outputs], "row {row} alone");
        }
    }
}

#[test]
fn bf16_weights_give_the_results_of_f32() {
    let (pool, mut rng) = (Pool::new(2).unwrap(), Rng::new(21));
    for (outputs, inputs) in [(33, 1), (64, 95), (100, 256)] {
        let weights: Vec<f32> = (0..outputs * inputs).map(|_| half::bf16::from_f32(rng.value()).to_f32()).collect();
        let matrices = [PackedFormat::F32, PackedFormat::Bf16Weights]
            .map(|format| (format, packed(outputs, inputs, format, &weights)));
        for rows in (1..30).chain([200]) {
            let values = rng.values(rows * inputs);
            let [wide, narrow] = matrices
                .each_ref()
                .map(|(format, matrix)| run(&pool, &activations(&pool, *format, inputs, &values), matrix));
            assert_eq!(wide, narrow, "{rows} {outputs} {inputs}");
        }
    }
}

#[test]
fn high_precision_leaves_only_the_error_of_the_weights() {
    let (pool, mut rng) = (Pool::new(2).unwrap(), Rng::new(11));
    let (rows, outputs, inputs) = (9, 40, 192);
    let values: Vec<f32> = (0..rows * inputs).map(|_| rng.value().powi(7)).collect();
    for format in [PackedFormat::Q8, PackedFormat::Q4] {
        // Multiples of the scales, so that weights have no error: every group has the smallest and the largest code.
        let codes = if format == PackedFormat::Q8 { [-127.0, 127.0] } else { [-8.0, 7.0] };
        let weight = |index: usize, any: f32| if index % 32 < 2 { codes[index % 32] } else { (any * 7.0).round() };
        let mut weights: Vec<f32> = (0..outputs * inputs).map(|index| weight(index % inputs, rng.value())).collect();
        if format == PackedFormat::Q8 {
            hadamard(&mut weights);
        }
        let mut x = PackedLhs::new(format);
        x.set_precision([(rows, Precision::High)]);
        x.fill(&pool, rows, inputs, |row, out| out.copy_from_slice(&values[row * inputs..][..inputs]));
        let found = run(&pool, &x, &packed(outputs, inputs, format, &weights));
        for (index, found) in found.into_iter().enumerate() {
            let (row, output) = (index / outputs, index % outputs);
            let pairs = values[row * inputs..].iter().zip(&weights[output * inputs..]).take(inputs);
            let wanted: f64 = pairs.map(|(value, weight)| f64::from(*value) * f64::from(*weight)).sum();
            assert!((f64::from(found) - wanted).abs() < 2e-2, "{format:?}: {found} {wanted}");
        }
    }
}

#[test]
fn precision_of_a_row_does_not_change_the_others() {
    let (pool, mut rng) = (Pool::new(2).unwrap(), Rng::new(16));
    let (rows, outputs, inputs) = (80, 70, 100);
    let values = rng.values(rows * inputs);
    let weights = rng.values(outputs * inputs);
    let runs = [(1, Precision::High), (2, Precision::High), (40, Precision::Fast), (0, Precision::Fast)]
        .into_iter()
        .chain([(30, Precision::High), (7, Precision::Fast)]);
    for format in FORMATS {
        let matrix = packed(outputs, inputs, format, &weights);
        let with = |precisions: Vec<(usize, Precision)>, staged: bool| {
            let mut x = PackedLhs::new(format);
            x.set_precision(precisions);
            let fill = |row: usize, out: &mut [f32]| out.copy_from_slice(&values[row * inputs..][..inputs]);
            if staged {
                // Multiplied by the identity.
                let unit = |row: usize, out: usize| f32::from(u8::from(row == out));
                let identity: Vec<f32> = (0..inputs * inputs).map(|at| unit(at / inputs, at % inputs)).collect();
                let mut plain = PackedLhs::new(PackedFormat::F32);
                plain.fill(&pool, rows, inputs, fill);
                let identity = packed(inputs, inputs, PackedFormat::F32, &identity);
                matmuls(&pool, &plain, [(&identity, x.begin_write(rows, inputs))]);
                x.finish_write(&pool);
            } else {
                x.fill(&pool, rows, inputs, fill);
            }
            run(&pool, &x, &matrix)
        };
        for staged in [false, true] {
            let fast = with(vec![(rows, Precision::Fast)], staged);
            let high = with(vec![(rows, Precision::High)], staged);
            let mixed = with(runs.clone().collect(), staged);
            assert_eq!(fast, with(Vec::new(), staged), "the default");
            let is_high = |row: usize| row < 3 || (43..73).contains(&row);
            for row in 0..rows {
                let part = row * outputs..(row + 1) * outputs;
                let wanted = if is_high(row) { &high } else { &fast };
                // Staging rounds to bf16, unless rows need no staging.
                let tolerance = if staged { 0.05 } else { 0.0 };
                for (found, wanted) in mixed[part.clone()].iter().zip(&wanted[part]) {
                    assert!((found - wanted).abs() <= tolerance, "{format:?} row {row}: {found} {wanted}");
                }
            }
        }
    }
}

#[test]
fn epilogue_applies_bias_activation_and_residual() {
    let (pool, mut rng) = (Pool::new(2).unwrap(), Rng::new(9));
    let (rows, outputs, inputs) = (13, 45, 21);
    let (gate, up, bias) = (rng.values(outputs * inputs), rng.values(outputs * inputs), rng.values(outputs));
    let x = activations(&pool, PackedFormat::F32, inputs, &rng.values(rows * inputs));
    let (gate, up) =
        (packed(outputs, inputs, PackedFormat::F32, &gate), packed(outputs, inputs, PackedFormat::F32, &up));
    let (plain_gate, plain_up) = (run(&pool, &x, &gate), run(&pool, &x, &up));
    let place = |row: usize, column: usize| row * outputs + column;

    // Both matrices side by side, added to existing values.
    let mut sum = Matrix::<f32>::new();
    sum.fill(&pool, rows, 2 * outputs, |row, out| out.fill(row as f32));
    let [left, right] = Epilogue::add_to(&mut sum).split_columns([outputs; 2]);
    matmuls(&pool, &x, [(&gate, left), (&up, right.with_bias(Some(&bias)))]);
    // The gated product, written as bf16 operand of the next product.
    let mut inner = PackedLhs::new(PackedFormat::Bf16);
    let parts = [(&gate, None), (&up, Some(bias.as_slice()))];
    gated_matmul(&pool, &x, parts, Activation::Relu, inner.begin_write(rows, outputs));
    inner.finish_write(&pool);
    let run = &inner.split(|_| rows)[0];
    let words = inner.tile(run, 0).operand;
    for row in 0..rows.min(words.rows) {
        for column in 0..outputs {
            let (left, right) = (plain_gate[place(row, column)], plain_up[place(row, column)] + bias[column]);
            assert!((sum.row(row)[column] - row as f32 - left).abs() < 1e-5);
            assert!((sum.row(row)[outputs + column] - row as f32 - right).abs() < 1e-5);
            let word = words.words[row * words.stride + column / 2] >> (16 * (column % 2));
            let found = half::bf16::from_bits(word as u16).to_f32();
            let wanted = left.max(0.0) * right;
            assert!((found - wanted).abs() <= 0.004 * wanted.abs() + 1e-6, "{found} instead of {wanted}");
        }
    }
}

/// The panic message of `work`.
fn panic_of(work: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn mismatched_outputs_panic_before_any_write() {
    let (pool, mut rng) = (Pool::new(2).unwrap(), Rng::new(14));
    let (rows, outputs, inputs) = (5, 40, 8);
    let x = activations(&pool, PackedFormat::F32, inputs, &rng.values(rows * inputs));
    let matrix = packed(outputs, inputs, PackedFormat::F32, &rng.values(outputs * inputs));
    let short = vec![0.0; outputs - 1];
    let mut out = Matrix::<f32>::new();
    // Fewer rows, more rows, and columns that would reach into the next row.
    for (rows, columns) in [(4, 40), (6, 40), (5, 39), (5, 41), (5, 8)] {
        out.fill(&pool, rows, columns, |_, out| out.fill(7.0));
        for gated in [false, true] {
            let output = Epilogue::store(&mut out);
            let message = panic_of(|| match gated {
                false => matmuls(&pool, &x, [(&matrix, output)]),
                true => gated_matmul(&pool, &x, [(&matrix, None); 2], Activation::Relu, output),
            });
            assert!(message.contains("another shape"), "{rows} x {columns}: {message}");
            assert!((0..rows).all(|row| out.row(row).iter().all(|value| *value == 7.0)));
        }
    }
    out.resize(rows, outputs);
    let message = panic_of(|| matmuls(&pool, &x, [(&matrix, Epilogue::store(&mut out).with_bias(Some(&short)))]));
    assert!(message.contains("another length"), "{message}");
    let message = panic_of(|| {
        let _parts = Epilogue::store(&mut out).split_columns([30, 11]);
    });
    assert!(message.contains("of 40 columns"), "{message}");
}

#[test]
fn pack_returns_the_error_of_a_row() {
    let row = |row: usize, _: &mut [f32]| if row == 40 { Err("row 40") } else { Ok(()) };
    assert_eq!(PackedMatrix::pack(64, 8, PackedFormat::Q8, row).err(), Some("row 40"));
}

#[test]
fn four_bit_quantization_error_is_small() {
    let mut rng = Rng::new(10);
    let pool = Pool::new(1).unwrap();
    // Multiples of the scale above the minimum are exact.
    let weights: Vec<f32> = (0..64).map(|index| [-8.0, 7.0, 3.0, -1.0][index % 4] * 0.5).collect();
    let one = activations(&pool, PackedFormat::Q4, 64, &{
        let mut one = vec![0.0; 64];
        one[33] = 127.0;
        one
    });
    assert_eq!(run(&pool, &one, &packed(1, 64, PackedFormat::Q4, &weights)), [127.0 * 3.5]);
    // For normally distributed weights the relative error is about 7 %.
    let bell: Vec<f32> = (0..4096).map(|_| (0..6).map(|_| rng.value()).sum::<f32>()).collect();
    let matrix = packed(64, 64, PackedFormat::Q4, &bell);
    let (mut error, mut size) = (0.0, 0.0);
    for input in 0..64 {
        let one = activations(
            &pool,
            PackedFormat::Q4,
            64,
            &(0..64).map(|i| f32::from(u8::from(i == input))).collect::<Vec<_>>(),
        );
        for (output, found) in run(&pool, &one, &matrix).into_iter().enumerate() {
            error += (found - bell[output * 64 + input]).powi(2);
            size += bell[output * 64 + input].powi(2);
        }
    }
    let relative = (error / size).sqrt();
    assert!((0.03..0.085).contains(&relative), "{relative}");
}

/// Packing what is quantized already is the same as quantizing it.
#[test]
fn quantized_rows_are_packed_as_they_are() {
    let (pool, mut rng) = (Pool::new(2).unwrap(), Rng::new(21));
    for (outputs, inputs) in [(1, 1), (33, 64), (70, 100), (64, 320), (5, 31)] {
        let weights = rng.values(outputs * inputs);
        let values = rng.values(3 * inputs);
        for format in [PackedFormat::Q8, PackedFormat::Q4] {
            let (mut codes, mut scales) = (Vec::new(), Vec::new());
            for row in weights.chunks_exact(inputs) {
                let mut row = row.to_vec();
                row.resize(inputs.next_multiple_of(format.group().unwrap()), 0.0);
                prepare_weights(format, &mut row, inputs);
                if format == PackedFormat::Q8 {
                    for (scale, group) in row.as_chunks().0.iter().map(quantize_q8) {
                        scales.extend(scale.to_le_bytes());
                        codes.extend(group.map(|code| code as u8));
                    }
                } else {
                    for (both, group) in row.as_chunks().0.iter().map(quantize_q4) {
                        scales.extend(both.map(u16::to_le_bytes).concat());
                        codes.extend(group);
                    }
                }
            }
            let rows = QuantizedRows { codes: &codes, scales: &scales };
            let stored = PackedMatrix::from_quantized(outputs, inputs, format, rows);
            let x = activations(&pool, format, inputs, &values);
            let wanted = run(&pool, &x, &packed(outputs, inputs, format, &weights));
            assert_eq!(run(&pool, &x, &stored), wanted, "{format:?} {outputs} {inputs}");
        }
    }
}
