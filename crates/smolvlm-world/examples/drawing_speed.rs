//! Lessons a second, drawn and not drawn, on one core.

use std::time::Instant;

use smolvlm_world::{Split, lesson, vocabulary_corpus};

fn main() {
    let count = 4000;
    let start = Instant::now();
    let turns: usize = (0..count).map(|index| lesson(Split::Train, index).turns.len()).sum();
    let seconds = start.elapsed().as_secs_f64();
    let (lessons, turns) = (count as f64 / seconds, turns as f64 / count as f64);
    println!("{lessons:.0} lessons a second, {turns:.2} questions a lesson");
    let start = Instant::now();
    let bytes: usize = vocabulary_corpus(count).map(|text| text.len()).sum();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{:.0} lessons a second without pictures, {} bytes a lesson",
        count as f64 / seconds,
        bytes as u64 / count
    );
}
