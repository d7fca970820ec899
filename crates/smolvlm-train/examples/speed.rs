//! Training throughput, in samples per second, of a small model trained from scratch on synthetic images.
//!
//! ```sh
//! cargo run --release -p smolvlm-train --example speed -- 6
//! ```

use smolvlm_config::{ModelConfig, Preset, Size};
use smolvlm_processor::{Message, Processor, RELEASED_CHAT_TEMPLATE, Rgb, synthetic_tokenizer};
use smolvlm_train::{Example, Generated, Observer, StepMetrics, TrainConfig, Trainer, initial_model};
use std::error::Error;
use std::ops::ControlFlow;

/// Reuses freed memory for the many large results of a step, where the system allocator would return it each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn config() -> ModelConfig {
    let mut config = Preset::Tiny.model();
    let text = &mut config.text;
    (text.hidden_size, text.intermediate_size, text.num_hidden_layers) = (128, 384, 6);
    (text.num_attention_heads, text.num_key_value_heads, text.head_dim) = (4, 2, 32);
    let vision = &mut config.vision;
    (vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers) = (128, 512, 6);
    (vision.num_attention_heads, vision.image_size, vision.patch_size) = (4, 64, 8);
    (config.scale_factor, config.tie_word_embeddings) = (2, true);
    config.text.vocab_size = 640;
    config
}

struct Print;

impl Observer for Print {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        println!("{}", serde_json::to_string(metrics).unwrap_or_default());
        ControlFlow::Continue(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let number = |at, default| std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (steps, micro_batch) = (number(1, 6), number(2, TrainConfig::default().micro_batch as u64));
    let mut config = config();
    let mut processing = Preset::Tiny.processor();
    (processing.image.pixels.size, processing.image.pixels.max_image_size) = (Size::LongestEdge(128), 64);
    processing.image_seq_len = 16;
    let tokenizer = synthetic_tokenizer(config.text.vocab_size)?;
    let processor = Processor::new(processing, tokenizer, Some(RELEASED_CHAT_TEMPLATE.to_owned()))?;
    config.image_token_id = processor.image_token_id();
    let samples = Generated::new(|index: u64| {
        let pixels = (0..128 * 128 * 3).map(|value: u64| (value.wrapping_mul(index + 7) >> 3) as u8).collect();
        let question = match Rgb::new(128, 128, pixels) {
            Ok(image) => Message::user().image(image).text("what is seen in the picture, and where is it?"),
            Err(_) => Message::user().text("nothing"),
        };
        Example::answer(question, "a large red circle is at the upper left of a small blue square")
    });
    let training = TrainConfig {
        steps,
        batch_size: 32,
        micro_batch: micro_batch as usize,
        learning_rate: 1e-3,
        warmup: 2,
        ..TrainConfig::default()
    };
    Trainer::new(training)?.run(initial_model(&config, 0)?, &processor, &samples, None, &mut Print)?;
    Ok(())
}
