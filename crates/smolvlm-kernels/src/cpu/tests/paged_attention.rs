//! Attention over KV pages: against an f64 reference, and bit-identical whatever the threads, chunks and neighbors.

use super::Rng;
use crate::cpu::{Epilogue, KvPages, KvShape, KvType, Matrix, PagedScratch, Pool, Precision, Segment, paged_attention};
use crate::{PAGE_TOKENS, PageId, PageStore};

/// Heads, heads of keys, and their width.
#[derive(Debug, Clone, Copy)]
struct Shape {
    heads: usize,
    kv_heads: usize,
    width: usize,
    kv_type: KvType,
}

impl Shape {
    fn columns(self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.width
    }

    /// Pages of two layers, of which the tests use the second.
    fn pages(self, max_pages: usize) -> KvPages {
        KvPages::new(KvShape { layers: 2, kv_heads: self.kv_heads, width: self.width }, self.kv_type, max_pages)
    }

    /// Queries, keys and values of a sequence, a row per token.
    fn sequence(self, tokens: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = Rng::new(seed);
        (0..tokens).map(|_| rng.values(self.columns()).iter().map(|value| 3.0 * value).collect()).collect()
    }

    fn round(self, value: f32) -> f64 {
        match self.kv_type {
            KvType::F32 => f64::from(value),
            KvType::Bf16 => super::rounded_to_bf16(value),
        }
    }

    /// Weights are rounded to 8 bits in bf16, values are up to 3.
    fn tolerance(self) -> f64 {
        if self.kv_type == KvType::F32 { 2e-5 } else { 0.015 }
    }
}

const LAYER: usize = 1;

/// A sequence, its page table, and its next tokens.
type Chunk<'a> = (&'a [Vec<f32>], &'a [PageId], std::ops::Range<usize>);

/// Stores the next tokens of sequences and returns their results, sequence by sequence.
fn step(shape: Shape, pool: &Pool, pages: &mut KvPages, sequences: &[Chunk<'_>]) -> Vec<Vec<f32>> {
    let segments: Vec<Segment<'_>> = sequences
        .iter()
        .map(|(_, pages, range)| Segment { pages, start: range.start, tokens: range.len(), precision: Precision::Fast })
        .collect();
    let rows: Vec<&Vec<f32>> = sequences.iter().flat_map(|(rows, _, range)| &rows[range.clone()]).collect();
    let (mut projected, mut out) = (Matrix::<f32>::new(), Matrix::<f32>::new());
    projected.fill(pool, rows.len(), shape.columns(), |row, out| out.copy_from_slice(rows[row]));
    out.fill(pool, rows.len(), shape.heads * shape.width, |_, out| out.fill(f32::NAN));
    let key_column = shape.heads * shape.width;
    let value_column = key_column + shape.kv_heads * shape.width;
    pages.store(pool, LAYER, &segments, &projected, key_column, value_column);
    let (mut scratch, out_ref) = (PagedScratch::default(), Epilogue::store(&mut out));
    paged_attention(pool, pages, LAYER, &segments, shape.heads, &projected, &mut scratch, out_ref);
    (0..rows.len()).map(|row| out.row(row).to_vec()).collect()
}

/// A page table for `tokens` tokens.
fn table(pages: &mut KvPages, tokens: usize) -> Vec<PageId> {
    (0..tokens.div_ceil(PAGE_TOKENS)).map(|_| pages.allocate().unwrap()).collect()
}

/// Results of a sequence alone, in chunks of at most `chunk` tokens.
fn alone(shape: Shape, sequence: &[Vec<f32>], threads: usize, chunk: usize) -> Vec<Vec<f32>> {
    let (pool, mut pages) = (Pool::new(threads).unwrap(), shape.pages(1000));
    let table = table(&mut pages, sequence.len());
    let mut out = Vec::new();
    for first in (0..sequence.len()).step_by(chunk) {
        let range = first..sequence.len().min(first + chunk);
        out.extend(step(shape, &pool, &mut pages, &[(sequence, &table, range)]));
    }
    out
}

/// Panics unless the bits of all values are equal.
fn assert_same(found: &[Vec<f32>], wanted: &[Vec<f32>], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (token, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        for (column, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            assert_eq!(found.to_bits(), wanted.to_bits(), "{what}: token {token}, column {column}: {found}, {wanted}");
        }
    }
}

/// The definition, in f64, for one token.
fn reference(shape: Shape, sequence: &[Vec<f32>], token: usize) -> Vec<f64> {
    let Shape { heads, kv_heads, width, .. } = shape;
    let vector = |token: usize, head: usize| -> Vec<f64> {
        sequence[token][head * width..][..width].iter().map(|value| shape.round(*value)).collect()
    };
    let mut out = Vec::new();
    for head in 0..heads {
        let (query, kv) = (vector(token, head), head / (heads / kv_heads));
        let weights: Vec<f64> = (0..=token)
            .map(|key| {
                let dot: f64 = query.iter().zip(vector(key, heads + kv)).map(|(a, b)| a * b).sum();
                (dot / (width as f64).sqrt()).exp()
            })
            .collect();
        let total: f64 = weights.iter().sum();
        let mut sums = vec![0.0; width];
        for (key, weight) in weights.iter().enumerate() {
            let value = vector(key, heads + kv_heads + kv);
            sums.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight / total * value);
        }
        out.extend(sums);
    }
    out
}

fn check(heads: usize, kv_heads: usize, width: usize, tokens: usize) {
    for kv_type in [KvType::F32, KvType::Bf16] {
        let shape = Shape { heads, kv_heads, width, kv_type };
        let sequence = shape.sequence(tokens, 5);
        let found = alone(shape, &sequence, 2, tokens);
        for token in (0..tokens).step_by(1 + tokens / 40).chain([tokens - 1]) {
            for (found, wanted) in found[token].iter().zip(reference(shape, &sequence, token)) {
                let error = (f64::from(*found) - wanted).abs();
                assert!(error < shape.tolerance(), "{shape:?}, token {token}: {found}, not {wanted}");
            }
        }
    }
}

#[test]
fn matches_the_reference() {
    check(9, 3, 64, 1);
    check(9, 3, 64, 33);
    check(9, 3, 64, 600);
    check(15, 5, 64, 300);
    check(32, 32, 64, 65);
    check(4, 1, 20, 290);
    check(14, 1, 72, 257);
    check(6, 2, 2, 256);
}

/// Shapes for tests of equal bits, with results long enough for several parts.
fn shapes() -> impl Iterator<Item = Shape> {
    [(9, 3, 64), (15, 5, 20), (14, 1, 72)].into_iter().flat_map(|(heads, kv_heads, width)| {
        [KvType::F32, KvType::Bf16].map(|kv_type| Shape { heads, kv_heads, width, kv_type })
    })
}

#[test]
fn threads_and_chunks_do_not_change_a_bit() {
    for shape in shapes() {
        let sequence = shape.sequence(300, 7);
        let wanted = alone(shape, &sequence, 1, 300);
        for (threads, chunk) in [(2, 300), (3, 300), (1, 1), (2, 7), (3, 33), (2, 256)] {
            let found = alone(shape, &sequence, threads, chunk);
            assert_same(&found, &wanted, &format!("{shape:?}, {threads} threads, chunks of {chunk}"));
        }
    }
}

#[test]
fn neighbors_and_the_order_of_pages_do_not_change_a_bit() {
    for shape in shapes() {
        let lengths = [270, 1, 64, 330];
        let sequences: Vec<_> = lengths.iter().zip(20..).map(|(&len, seed)| shape.sequence(len, seed)).collect();
        let (pool, mut pages) = (Pool::new(3).unwrap(), shape.pages(30));
        // Pages are handed to the sequences in turn, and backwards.
        let mut tables = lengths.map(|_| Vec::new());
        let mut all: Vec<PageId> = (0..30).map(|_| pages.allocate().unwrap()).collect();
        for _ in 0..11 {
            for (table, len) in tables.iter_mut().zip(lengths) {
                if table.len() * PAGE_TOKENS < len {
                    table.push(all.pop().unwrap());
                }
            }
        }
        let mut found = lengths.map(|_| Vec::new());
        for first in (0..330).step_by(70) {
            let running: Vec<usize> = (0..4).filter(|index| lengths[*index] > first).collect();
            let range = |index: usize| first..lengths[index].min(first + 70);
            let segments: Vec<_> =
                running.iter().map(|&index| (&sequences[index][..], &tables[index][..], range(index))).collect();
            let mut results = step(shape, &pool, &mut pages, &segments).into_iter();
            running.iter().for_each(|&index| found[index].extend(results.by_ref().take(range(index).len())));
        }
        for (found, sequence) in found.iter().zip(&sequences) {
            assert_same(found, &alone(shape, sequence, 1, sequence.len()), &format!("{shape:?}"));
        }
    }
}

#[test]
fn shared_and_copied_pages_continue_like_own_ones() {
    for shape in shapes() {
        let (pool, mut pages) = (Pool::new(2).unwrap(), shape.pages(40));
        // Both share 300 tokens: nine full pages and a partly filled one, in which the first sequence continues with
        // NaN.
        let mut first = shape.sequence(330, 30);
        let mut second = shape.sequence(330, 31);
        second[..300].clone_from_slice(&first[..300]);
        first[300..].iter_mut().for_each(|row| row.fill(f32::NAN));
        let own = table(&mut pages, 330);
        let _ = step(shape, &pool, &mut pages, &[(&first, &own, 0..300)]);
        let _ = step(shape, &pool, &mut pages, &[(&first, &own, 300..330)]);
        let mut shared = own[..9].to_vec();
        shared.iter().for_each(|page| pages.references_mut().retain(*page));
        shared.push(pages.copy(own[9], 300 % PAGE_TOKENS).unwrap());
        shared.push(pages.allocate().unwrap());
        let found = step(shape, &pool, &mut pages, &[(&second, &shared, 300..330)]);
        assert_same(&found, &alone(shape, &second, 1, 330)[300..], &format!("{shape:?}"));
    }
}

#[test]
fn recycled_pages_hold_nothing_of_earlier_sequences() {
    for shape in shapes() {
        let (pool, mut pages) = (Pool::new(2).unwrap(), shape.pages(3));
        let table_of_nan = table(&mut pages, 96);
        let nan = vec![vec![f32::NAN; shape.columns()]; 96];
        let _ = step(shape, &pool, &mut pages, &[(&nan, &table_of_nan, 0..96)]);
        table_of_nan.iter().for_each(|page| pages.references_mut().release(*page));
        let (sequence, table) = (shape.sequence(70, 40), table(&mut pages, 70));
        let found = step(shape, &pool, &mut pages, &[(&sequence, &table, 0..70)]);
        assert_same(&found, &alone(shape, &sequence, 1, 70), &format!("{shape:?}"));
    }
}

/// The message of a panic.
fn panic_of(work: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
    panic
        .downcast_ref::<String>()
        .cloned()
        .or(panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

#[test]
fn misuse_of_pages_panics() {
    let shape = Shape { heads: 2, kv_heads: 1, width: 8, kv_type: KvType::F32 };
    let (pool, mut pages) = (Pool::new(2).unwrap(), shape.pages(4));
    let (rows, own) = (shape.sequence(40, 1), table(&mut pages, 40));
    let twice: [Chunk<'_>; 2] = [(&rows, &own, 0..3), (&rows, &own, 3..5)];
    assert!(panic_of(|| drop(step(shape, &pool, &mut pages, &twice))).contains("several segments"));
    let same = [own[0]; 2];
    assert!(panic_of(|| drop(step(shape, &pool, &mut pages, &[(&rows, &same, 30..34)]))).contains("several segments"));
    let long = &[(&rows[..], &own[..1], 30..34)];
    assert!(panic_of(|| drop(step(shape, &pool, &mut pages, long))).contains("pages for 32"));
    pages.references_mut().retain(own[0]);
    assert!(panic_of(|| drop(step(shape, &pool, &mut pages, &[(&rows, &own, 0..4)]))).contains("shared"));
    // Reading a shared page and writing behind it is fine.
    drop(step(shape, &pool, &mut pages, &[(&rows, &own, 32..40)]));
}
