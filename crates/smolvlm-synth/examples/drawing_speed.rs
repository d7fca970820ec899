//! Benchmark of samples per second, with and without drawing, on one core.

use std::time::Instant;

use smolvlm_synth::{Split, mixed_sample, vocabulary_corpus};

fn main() {
    let count = 4000;
    let start = Instant::now();
    let turns: usize = (0..count).map(|index| mixed_sample(Split::Train, index).turns.len()).sum();
    let seconds = start.elapsed().as_secs_f64();
    let (samples, turns) = (count as f64 / seconds, turns as f64 / count as f64);
    println!("{samples:.0} samples/s, {turns:.2} questions per sample");
    let start = Instant::now();
    let bytes: usize = vocabulary_corpus(count).map(|text| text.len()).sum();
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} samples/s without drawing, {} bytes per sample", count as f64 / seconds, bytes as u64 / count);
}
