//! Compares eight conversations of different lengths as one batch and one by one, with random weights of the 256M
//! model: `cargo run --release -p smolvlm --example ragged -- [THREADS]`.

use smolvlm::{Conversation, Error, Message, Options, Preset, Rgb, SamplingParams, SmolVlm, Source};
use std::time::Instant;

const NEW_TOKENS: usize = 64;

fn main() -> Result<(), Error> {
    let threads = std::env::args().nth(1).and_then(|threads| threads.parse().ok());
    // Without caches, so that both runs do all work.
    let options = Options {
        threads,
        image_splitting: Some(false),
        feature_cache_bytes: 0,
        prefix_cache_bytes: 0,
        ..Options::default()
    };
    let model = SmolVlm::load(Source::random(Preset::Smol256M), options)?;
    let params = SamplingParams::greedy().max_new_tokens(NEW_TOKENS).eos_token_ids([u32::MAX]);

    let mut state = 1_u32;
    let mut noise = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut conversations = Vec::new();
    for row in 0..8 {
        let words = "one more word ".repeat(4 * row);
        let message = match row % 4 {
            0 => {
                let image = Rgb::new(64, 64, (0..64 * 64 * 3).map(&mut noise).collect());
                Message::user().image(image.unwrap_or_else(|error| panic!("{error}"))).text(words + "What is this?")
            }
            _ => Message::user().text(words + "What is this?"),
        };
        conversations.push(Conversation::from(message));
    }
    let clock = Instant::now();
    let mut alone = Vec::new();
    for conversation in &conversations {
        alone.push(model.generate(conversation.clone(), params.clone())?);
    }
    let one_by_one = clock.elapsed();
    let clock = Instant::now();
    let together = model.batch(&conversations, params)?;
    let batch = clock.elapsed();
    let same = alone.iter().zip(&together).filter(|(alone, together)| alone.token_ids == together.token_ids).count();
    let lengths: Vec<usize> = together.iter().map(|answer| answer.prompt_tokens).collect();
    println!("prompts of {lengths:?} tokens, {NEW_TOKENS} new tokens each, {same} of 8 rows the same");
    println!(
        "one by one {one_by_one:.2?}, batch {batch:.2?}: ratio {:.2}",
        batch.as_secs_f64() / one_by_one.as_secs_f64()
    );
    println!("first row of the batch: {:?}", together[0].timings);
    Ok(())
}
