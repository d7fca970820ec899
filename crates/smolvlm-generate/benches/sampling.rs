//! Selection of a token from the logits of the 256M model's vocabulary: `cargo bench -p smolvlm-generate`.

use divan::Bencher;
use smolvlm_generate::{Sampler, SamplingParams};

fn main() {
    divan::main();
}

const VOCABULARY: usize = 49_280;

fn logits() -> Vec<f32> {
    (0..VOCABULARY as u32).map(|id| (id.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 20) as f32).collect()
}

fn bench(bencher: Bencher<'_, '_>, params: &SamplingParams) {
    let (ids, mut sampler) = ((0..1000).collect::<Vec<u32>>(), Sampler::new(params, 0));
    bencher.with_inputs(logits).bench_local_refs(|logits| sampler.sample(&ids, 900, logits));
}

#[divan::bench]
fn greedy(bencher: Bencher<'_, '_>) {
    bench(bencher, &SamplingParams::greedy());
}

#[divan::bench]
fn top_p(bencher: Bencher<'_, '_>) {
    bench(bencher, &SamplingParams::sampling().seed(1).temperature(0.7).top_k(0).top_p(0.9));
}

#[divan::bench]
fn penalties(bencher: Bencher<'_, '_>) {
    bench(bencher, &SamplingParams::greedy().repetition_penalty(1.2).no_repeat_ngram_size(3));
}
