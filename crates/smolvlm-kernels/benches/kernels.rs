//! Matrix products and attention at the sizes of the 256M model: `cargo bench -p smolvlm-kernels`.

use divan::Bencher;
use divan::counter::ItemsCount;
use half::bf16;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::{
    AttentionScratch, AttentionShape, Epilogue, Heads, KeyMask, Matrix, PackedLhs, PackedMatrix, Pool, Precision,
    attention, matmuls,
};

fn main() {
    divan::main();
}

/// Deterministic values between -1 and 1.
fn value(index: usize) -> f32 {
    ((index * 7919) % 2003) as f32 / 1001.5 - 1.0
}

const FORMATS: [PackedFormat; 5] =
    [PackedFormat::F32, PackedFormat::Bf16, PackedFormat::Bf16Weights, PackedFormat::Q8, PackedFormat::Q4];

/// A projection of the text model for one token, a chunk of a prompt, and the patches of a tile. Items are
/// multiply-adds.
#[divan::bench(args = [1, 64, 1024], consts = [0, 1, 2, 3, 4])]
fn matmul<const FORMAT: usize>(bencher: Bencher<'_, '_>, rows: usize) {
    bench_matmul(bencher, FORMATS[FORMAT], rows, [1536, 576]);
}

/// The last product of a vision layer, whose rows are long. Items are multiply-adds.
#[divan::bench(args = [1024], consts = [0, 1, 2, 3, 4])]
fn wide_matmul<const FORMAT: usize>(bencher: Bencher<'_, '_>, rows: usize) {
    bench_matmul(bencher, FORMATS[FORMAT], rows, [768, 3072]);
}

/// The output projection, whose weights come from memory. Items are multiply-adds.
#[divan::bench(args = [1, 8], consts = [0, 1, 2, 3, 4])]
fn output_projection<const FORMAT: usize>(bencher: Bencher<'_, '_>, rows: usize) {
    bench_matmul(bencher, FORMATS[FORMAT], rows, [49_280, 576]);
}

fn bench_matmul(bencher: Bencher<'_, '_>, format: PackedFormat, rows: usize, [outputs, inputs]: [usize; 2]) {
    let matrix = PackedMatrix::pack(outputs, inputs, format, |row, out: &mut [f32]| -> Result<(), ()> {
        out.iter_mut().enumerate().for_each(|(column, out)| *out = value(row * inputs + column));
        Ok(())
    });
    let Ok(matrix) = matrix else { return };
    let (pool, mut x, mut y) = (Pool::current(), PackedLhs::new(format), Matrix::<f32>::new());
    x.set_precision([(rows, if rows > 8 { Precision::Fast } else { Precision::High })]);
    x.fill(&pool, rows, inputs, |row, out| {
        out.iter_mut().enumerate().for_each(|(column, out)| *out = value(row + column));
    });
    y.resize(rows, outputs);
    bencher
        .counter(ItemsCount::new(rows * outputs * inputs))
        .bench_local(|| matmuls(&pool, &x, [(&matrix, Epilogue::store(&mut y))]));
}

/// Attention of a tile's patches.
#[divan::bench]
fn vision_attention(bencher: Bencher<'_, '_>) {
    let shape = AttentionShape { batch: 1, heads: 12, kv_heads: 12, width: 64, queries: 1024, keys: 1024 };
    let width = shape.heads * shape.width;
    let values: Vec<bf16> = (0..shape.keys * width).map(|index| bf16::from_f32(value(index))).collect();
    let heads = Heads { values: &values, start: 0, batch: values.len(), token: width, head: shape.width };
    let (pool, mut scratch, mut out) = (Pool::current(), AttentionScratch::default(), Matrix::<f32>::new());
    out.resize(shape.queries, width);
    bencher.bench_local(|| {
        attention(&pool, shape, [heads; 3], KeyMask::All, &mut scratch, Epilogue::store(&mut out));
    });
}
