//! A generation loop of one's own on the layers below the facade, which takes the most likely token:
//! `cargo run -p smolvlm --example own_loop --features demo`.

use smolvlm::model::{Error as ModelError, KeepLogits, StepInput};
use smolvlm::processor::{Media, RenderOptions};
use smolvlm::{Error, Message, Options, SmolVlm, Source};

fn main() -> Result<(), Error> {
    let model = SmolVlm::load(Source::Demo, Options::default())?;
    let (processor, network) = (model.processor(), model.model());
    let conversation = Message::user().image("tests/corpus/world/shapes.png").text("Describe this picture.").into();
    let batch = processor.prepare(&[conversation], &RenderOptions::answer())?.load()?;
    let end_tokens = model.sampling().eos_token_ids;

    // Each pass runs on the model's threads.
    let tokens = model.on_threads(|| -> Result<Vec<u32>, ModelError> {
        let pixels: Vec<&[f32]> = batch.all_media().map(Media::pixels).collect();
        let images = network.image_features(&pixels, batch.edge, 1, false)?;
        let mut sequences = network.new_sequences(batch.len + 64);
        let sequence = sequences.add();
        let prompt = StepInput {
            sequence,
            tokens: &batch.input_ids,
            features: images.map(|images| images.features),
            logits: KeepLogits::Last,
            generated: false,
        };
        let mut logits = network.step(&mut sequences, &[prompt])?;
        let mut tokens = Vec::new();
        while tokens.len() < 64 {
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or_default() as u32;
            tokens.push(best);
            if end_tokens.contains(&best) {
                break;
            }
            logits = network.step(&mut sequences, &[StepInput::generated(sequence, &[best])])?;
        }
        Ok(tokens)
    })?;
    println!("{}", processor.decode(&tokens, true)?);
    Ok(())
}
