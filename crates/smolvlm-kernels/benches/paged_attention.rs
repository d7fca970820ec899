//! Attention over KV pages at the sizes of the 256M model, on two threads:
//! `cargo bench -p smolvlm-kernels --bench paged_attention`.

use divan::Bencher;
use smolvlm_kernels::cpu::{
    Epilogue, KvPages, KvShape, KvType, Matrix, PagedScratch, Pool, Precision, Segment, paged_attention,
};
use smolvlm_kernels::{PAGE_TOKENS, PageId, PageStore};

const HEADS: usize = 9;
const KV_HEADS: usize = 3;
const WIDTH: usize = 64;
const THREADS: usize = 2;
/// Sequences, keys per sequence, and queries per sequence.
const PROBLEMS: [[usize; 3]; 5] = [[1, 139, 1], [1, 1954, 1], [1, 6952, 1], [8, 512, 1], [1, 1024, 1024]];

fn main() {
    divan::main();
}

/// Deterministic values between -1 and 1.
fn value(index: usize) -> f32 {
    ((index * 7919) % 2003) as f32 / 1001.5 - 1.0
}

#[divan::bench(args = PROBLEMS)]
fn paged(bencher: Bencher<'_, '_>, [sequences, keys, queries]: [usize; 3]) {
    let Ok(pool) = Pool::new(THREADS) else { return };
    let pages_per_sequence = keys.div_ceil(PAGE_TOKENS);
    let shape = KvShape { layers: 1, kv_heads: KV_HEADS, width: WIDTH };
    let mut pages = KvPages::new(shape, KvType::Bf16, sequences * pages_per_sequence);
    let table: Vec<PageId> = (0..sequences * pages_per_sequence).filter_map(|_| pages.allocate()).collect();
    let segments = |start: usize, tokens: usize| -> Vec<Segment<'_>> {
        table
            .chunks(pages_per_sequence)
            .map(|pages| Segment { pages, start, tokens, precision: Precision::Fast })
            .collect()
    };
    let (mut projected, mut out) = (Matrix::<f32>::new(), Matrix::<f32>::new());
    let columns = (HEADS + 2 * KV_HEADS) * WIDTH;
    projected.fill(&pool, sequences * keys, columns, |row, out| {
        out.iter_mut().enumerate().for_each(|(column, out)| *out = value(row * columns + column));
    });
    pages.store(&pool, 0, &segments(0, keys), &projected, HEADS * WIDTH, (HEADS + KV_HEADS) * WIDTH);
    projected.resize(sequences * queries, columns);
    out.resize(sequences * queries, HEADS * WIDTH);
    let (segments, mut scratch) = (segments(keys - queries, queries), PagedScratch::default());
    bencher.bench_local(|| {
        paged_attention(&pool, &pages, 0, &segments, HEADS, &projected, &mut scratch, Epilogue::store(&mut out));
    });
}
