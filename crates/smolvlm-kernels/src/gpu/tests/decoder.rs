//! The GPU decoder against a reference implementation on the host.

use super::{gpu_client, random_values};
use crate::gpu::attention::CHUNK;
use crate::gpu::decode_batch::{DecodeBatch, SequenceRow};
use crate::gpu::decoder::Decoder;
use crate::gpu::kv_pool::KvPool;
use crate::gpu::weights::{Cache, CachedSequence, LayerCache, LayerWeights, RotaryTables, Sizes, Weights};
use crate::{PAGE_TOKENS, PageId, PageStore};
use cubecl::prelude::*;
use cubecl::server::Handle;

const SIZES: Sizes = Sizes {
    hidden: 32,
    inner: 48,
    heads: 6,
    kv_heads: 2,
    head_dim: 8,
    vocabulary: 52,
    eps: 1e-5,
    weights: ElemType::Float(cubecl::ir::FloatKind::F32),
};
const LAYERS: usize = 2;

/// Reference decoder with weights and cache in host memory.
struct Reference {
    embeddings: Vec<f32>,
    /// Norm, q, k, v, o, norm, gate, up, down.
    layers: Vec<[Vec<f32>; 9]>,
    norm: Vec<f32>,
    head: Vec<f32>,
    /// Keys and values of each layer.
    cache: Vec<[Vec<f32>; 2]>,
    rotary: [Vec<f32>; 2],
    capacity: usize,
    /// Cached tokens of each row.
    lens: Vec<usize>,
    padding: Vec<usize>,
}

fn matvec(weights: &[f32], x: &[f32]) -> Vec<f32> {
    weights.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

fn normed(x: &[f32], weight: &[f32]) -> Vec<f32> {
    let square = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
    x.iter().zip(weight).map(|(x, w)| x / (square + SIZES.eps).sqrt() * w).collect()
}

impl Reference {
    fn new(capacity: usize, lens: &[usize], padding: &[usize]) -> Self {
        let Sizes { hidden, inner, heads, kv_heads, head_dim, vocabulary, .. } = SIZES;
        let (queries, keys, rows) = (heads * head_dim, kv_heads * head_dim, padding.len());
        let layer = |layer: usize| {
            let shapes = [
                (hidden, 1.0),
                (queries * hidden, 0.4),
                (keys * hidden, 0.4),
                (keys * hidden, 0.4),
                (hidden * queries, 0.2),
                (hidden, 1.0),
                (inner * hidden, 0.3),
                (inner * hidden, 0.3),
                (hidden * inner, 0.2),
            ];
            let mut index = layer * 10;
            shapes.map(|(count, scale)| {
                index += 1;
                random_values(index, count, scale)
            })
        };
        let cached = |layer: usize| {
            [0, 1].map(|side| random_values(100 + 2 * layer + side, rows * kv_heads * capacity * head_dim, 0.5))
        };
        let table = |function: fn(f32) -> f32| {
            let value = |index: usize| {
                let (position, at) = (index / head_dim, index % head_dim % (head_dim / 2));
                function(position as f32 / 100f32.powf(2.0 * at as f32 / head_dim as f32))
            };
            (0..capacity * head_dim).map(value).collect()
        };
        Self {
            embeddings: random_values(201, vocabulary * hidden, 1.0),
            layers: (0..LAYERS).map(layer).collect(),
            norm: random_values(202, hidden, 1.0),
            head: random_values(203, vocabulary * hidden, 0.5),
            cache: (0..LAYERS).map(cached).collect(),
            rotary: [table(f32::cos), table(f32::sin)],
            capacity,
            lens: lens.to_vec(),
            padding: padding.to_vec(),
        }
    }

    fn upload(&self, client: &Client) -> (Weights, Cache, RotaryTables) {
        let put = |values: &Vec<f32>| client.create_from_slice(f32::as_bytes(values));
        let layer = |layer: &[Vec<f32>; 9]| {
            let [input_norm, q, k, v, o, mlp_norm, gate, up, down]: [Handle; 9] = layer.each_ref().map(put);
            LayerWeights { input_norm, q, k, v, o, mlp_norm, gate, up, down }
        };
        let cached = |[keys, values]: &[Vec<f32>; 2]| LayerCache { keys: put(keys), values: put(values) };
        let weights = Weights {
            embeddings: put(&self.embeddings),
            layers: self.layers.iter().map(layer).collect(),
            norm: put(&self.norm),
            head: put(&self.head),
        };
        let layers = self.cache.iter().map(cached).collect();
        let cache = Cache { layers, head_stride: self.capacity, tokens: self.lens.len() * self.capacity };
        (weights, cache, RotaryTables { tables: self.rotary.each_ref().map(put), positions: self.capacity })
    }

    /// The bases of a row in the uploaded cache.
    fn bases(&self, row: usize) -> Vec<u32> {
        let base = |page| (row * SIZES.kv_heads * self.capacity + page * PAGE_TOKENS) as u32;
        (0..self.capacity.div_ceil(PAGE_TOKENS)).map(base).collect()
    }

    fn sequence(&self, row: usize, bases: Vec<u32>) -> SequenceRow {
        SequenceRow { len: self.lens[row], padding: self.padding[row], bases, room: self.capacity }
    }

    fn rotate(&self, head: &mut [f32], position: usize) {
        let (dim, before) = (head.len(), head.to_vec());
        for (at, value) in head.iter_mut().enumerate() {
            let other = if at < dim / 2 { -before[at + dim / 2] } else { before[at - dim / 2] };
            let angle = position * dim + at;
            *value = before[at] * self.rotary[0][angle] + other * self.rotary[1][angle];
        }
    }

    /// Runs a token of one row and returns its logits.
    fn row(&mut self, row: usize, token: u32) -> Vec<f32> {
        let Sizes { hidden, heads, kv_heads, head_dim, .. } = SIZES;
        let (hidden_tokens, len) = (self.padding[row], self.lens[row]);
        let position = len - hidden_tokens;
        let mut x = self.embeddings[token as usize * hidden..][..hidden].to_vec();
        for layer in 0..LAYERS {
            let [norm, q, k, v, o, mlp_norm, gate, up, down] = self.layers[layer].clone();
            let input = normed(&x, &norm);
            let (mut q, mut k, v) = (matvec(&q, &input), matvec(&k, &input), matvec(&v, &input));
            for head in q.chunks_mut(head_dim).chain(k.chunks_mut(head_dim)) {
                self.rotate(head, position);
            }
            let mut attended = Vec::new();
            for head in 0..heads {
                let kv_head = head / (heads / kv_heads);
                let start = (row * kv_heads + kv_head) * self.capacity * head_dim;
                let new = kv_head * head_dim..(kv_head + 1) * head_dim;
                let place = start + len * head_dim..start + (len + 1) * head_dim;
                self.cache[layer][0][place.clone()].copy_from_slice(&k[new.clone()]);
                self.cache[layer][1][place].copy_from_slice(&v[new]);
                let query = &q[head * head_dim..(head + 1) * head_dim];
                let at = |side: usize, key: usize| &self.cache[layer][side][start + key * head_dim..][..head_dim];
                let keys = hidden_tokens..=len;
                let score = |key| matvec(at(0, key), query)[0] / (head_dim as f32).sqrt();
                let scores: Vec<f32> = keys.clone().map(score).collect();
                let largest = scores.iter().copied().fold(f32::MIN, f32::max);
                let weights: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
                let total: f32 = weights.iter().sum();
                attended.extend((0..head_dim).map(|index| {
                    keys.clone().zip(&weights).map(|(key, weight)| at(1, key)[index] * weight / total).sum::<f32>()
                }));
            }
            let added = matvec(&o, &attended);
            x.iter_mut().zip(added).for_each(|(x, y)| *x += y);
            let input = normed(&x, &mlp_norm);
            let silu = |x: f32| x / (1.0 + (-x).exp());
            let inner: Vec<f32> =
                matvec(&gate, &input).iter().zip(matvec(&up, &input)).map(|(&gate, up)| silu(gate) * up).collect();
            let added = matvec(&down, &inner);
            x.iter_mut().zip(added).for_each(|(x, y)| *x += y);
        }
        matvec(&self.head, &normed(&x, &self.norm))
    }

    fn step(&mut self, tokens: &[u32]) -> Vec<Vec<f32>> {
        let logits = tokens.iter().enumerate().map(|(row, &token)| self.row(row, token)).collect();
        self.lens.iter_mut().for_each(|len| *len += 1);
        logits
    }
}

fn argmax(logits: &[f32]) -> u32 {
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    logits.iter().position(|&logit| logit == largest).unwrap() as u32
}

/// Checks that decoder and reference agree at every step, with rows of one memory block and with pages, and also when
/// the GPU runs ahead.
fn check(capacity: usize, lens: &[usize], padding: &[usize], steps: usize) {
    for (paged, run_ahead) in [(false, false), (false, true), (true, false), (true, true)] {
        check_steps(Reference::new(capacity, lens, padding), paged, steps, run_ahead);
    }
}

fn check_steps(mut reference: Reference, paged: bool, steps: usize, run_ahead: bool) {
    let client = gpu_client();
    let (rows, pages_per_row) = (reference.lens.len(), reference.capacity.div_ceil(PAGE_TOKENS));
    let (weights, cache, rotary) = reference.upload(&client);
    let decoder = Decoder::new(client, SIZES, weights).unwrap();
    let mut batch;
    if paged {
        let (pool, tables) = paged_rows(&decoder, &reference, &cache);
        // One row more than sequences: it is idle.
        batch = DecodeBatch::new(&decoder, pool.cache().clone(), rotary, rows + 1, pages_per_row);
        let sequence = |(row, table): (usize, &Vec<PageId>)| reference.sequence(row, pool.bases(table));
        batch.place(&tables.iter().enumerate().map(sequence).collect::<Vec<_>>());
    } else {
        batch = DecodeBatch::new(&decoder, cache, rotary, rows, pages_per_row);
        let sequence = |row| reference.sequence(row, reference.bases(row));
        batch.place(&(0..rows).map(sequence).collect::<Vec<_>>());
    }
    let mut tokens: Vec<u32> = (0..rows as u32).map(|row| row * 7 % 52).collect();
    for step in 0..steps {
        // Sometimes a token other than the argmax.
        let others = step % 4 == 0;
        if others {
            tokens.iter_mut().for_each(|token| *token = (*token + 1) % 52);
        }
        batch.step(&decoder, &tokens, !others);
        let wanted = reference.step(&tokens);
        // The logits are overwritten when the GPU has run ahead.
        let found = if run_ahead { wanted.concat() } else { batch.logits(&decoder, rows).unwrap() };
        assert_eq!(found.len(), rows * SIZES.vocabulary);
        let scale = wanted.concat().iter().fold(0f32, |largest, logit| largest.max(logit.abs()));
        for (found, wanted) in found.iter().zip(wanted.concat()) {
            assert!((found - wanted).abs() < 1e-4 * scale, "{found} instead of {wanted} in step {step}");
        }
        tokens = wanted.iter().map(|logits| argmax(logits)).collect();
        let found: Vec<u32> = batch.argmax(&decoder, run_ahead).unwrap().iter().map(|(token, _)| *token).collect();
        assert_eq!(found[..rows], tokens, "step {step}");
    }
}

/// A pool with the cached tokens of all rows, in pages that alternate between the rows.
fn paged_rows(decoder: &Decoder, reference: &Reference, cache: &Cache) -> (KvPool, Vec<Vec<PageId>>) {
    let (rows, pages) = (reference.lens.len(), reference.capacity.div_ceil(PAGE_TOKENS));
    let mut pool = KvPool::new(decoder, rows * pages);
    let mut tables = vec![Vec::new(); rows];
    for _ in 0..pages {
        tables.iter_mut().for_each(|table| table.push(pool.allocate().unwrap()));
    }
    assert!(pool.allocate().is_none());
    for (row, table) in tables.iter().enumerate() {
        let (bases, len) = (reference.bases(row), reference.lens[row]);
        pool.store(CachedSequence { cache, bases: &bases }, table, 0..len);
    }
    (pool, tables)
}

#[test]
fn single_row_from_an_empty_cache_matches() {
    check(20, &[0], &[0], 9);
}

#[test]
fn rows_with_padding_match() {
    check(40, &[9; 3], &[0, 3, 9], 7);
    check(40, &[9; 11], &[1, 0, 2, 9, 0, 5, 6, 7, 8, 0, 4], 3);
}

#[test]
fn rows_of_different_lengths_match() {
    check(70, &[31, 0, 64, 5], &[0, 0, 0, 2], 5);
}

#[test]
fn caches_of_several_chunks_match() {
    let chunk = CHUNK as usize;
    check(2 * chunk + 100, &[chunk - 2; 2], &[0, 5], 6);
    check(2 * chunk + 100, &[2 * chunk + 3, 30], &[chunk + 10, 0], 2);
}

#[test]
fn batch_takes_other_sequences_at_any_step() {
    let client = gpu_client();
    let mut reference = Reference::new(64, &[9, 3, 20], &[0; 3]);
    let (weights, cache, rotary) = reference.upload(&client);
    let decoder = Decoder::new(client, SIZES, weights).unwrap();
    let (pool, tables) = paged_rows(&decoder, &reference, &cache);
    let mut batch = DecodeBatch::new(&decoder, pool.cache().clone(), rotary, 2, 2);
    for (step, rows) in [&[0, 1][..], &[2], &[1, 2], &[1, 2], &[0]].into_iter().enumerate() {
        let sequences: Vec<_> = rows.iter().map(|&row| reference.sequence(row, pool.bases(&tables[row]))).collect();
        batch.place(&sequences);
        let tokens: Vec<u32> = rows.iter().map(|&row| (row + 5 * step) as u32).collect();
        batch.step(&decoder, &tokens, false);
        for ((index, &row), &token) in rows.iter().enumerate().zip(&tokens) {
            let wanted = argmax(&reference.row(row, token));
            reference.lens[row] += 1;
            // Every argmax starts a step that the next placement discards.
            assert_eq!(batch.argmax(&decoder, true).unwrap()[index].0, wanted, "row {row} in step {step}");
        }
    }
}

#[test]
fn pool_keeps_tokens_when_it_grows_and_copies_pages() {
    let client = gpu_client();
    let capacity = 100 * PAGE_TOKENS;
    let reference = Reference::new(capacity, &[capacity], &[0]);
    let (weights, cache, _) = reference.upload(&client);
    let decoder = Decoder::new(client.clone(), SIZES, weights).unwrap();
    let bases = reference.bases(0);
    let from = CachedSequence { cache: &cache, bases: &bases };
    let mut pool = KvPool::new(&decoder, 101);
    let mut table: Vec<PageId> = (0..60).map(|_| pool.allocate().unwrap()).collect();
    pool.store(from, &table, 0..60 * PAGE_TOKENS);
    // Beyond the first allocation.
    table.extend((0..40).map(|_| pool.allocate().unwrap()));
    pool.store(from, &table, 60 * PAGE_TOKENS..capacity);
    let copy = pool.copy(table[3], 5).unwrap();
    assert!(pool.allocate().is_none());
    table[3] = copy;

    let zeros = |_| vec![0f32; SIZES.kv_heads * capacity * SIZES.head_dim];
    let put = |side: usize| client.create_from_slice(f32::as_bytes(&zeros(side)));
    let layers = (0..LAYERS).map(|_| LayerCache { keys: put(0), values: put(1) }).collect();
    let target = Cache { layers, head_stride: capacity, tokens: capacity };
    let to = CachedSequence { cache: &target, bases: &bases };
    pool.load(&table, to, 0..3 * PAGE_TOKENS + 5);
    pool.load(&table, to, 4 * PAGE_TOKENS..capacity);
    for (layer, wanted) in target.layers.iter().zip(&reference.cache) {
        for (handle, wanted) in [&layer.keys, &layer.values].into_iter().zip(wanted) {
            let bytes = client.read_one(handle.clone()).unwrap();
            for (token, (found, wanted)) in
                f32::from_bytes(&bytes).chunks(SIZES.head_dim).zip(wanted.chunks(SIZES.head_dim)).enumerate()
            {
                let copied = !(3 * PAGE_TOKENS + 5..4 * PAGE_TOKENS).contains(&(token % capacity));
                assert_eq!(found.iter().any(|value| *value != 0.0), copied, "token {token}");
                assert!(!copied || found == wanted, "token {token}");
            }
        }
    }
}
