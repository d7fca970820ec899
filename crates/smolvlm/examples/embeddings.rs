//! Compares images by the mean of their hidden states: `cargo run -p smolvlm --example embeddings --features demo -- [IMAGE...]`.

use smolvlm::{Conversation, Error, Message, Options, SmolVlm, Source};

fn main() -> Result<(), Error> {
    let mut images: Vec<String> = std::env::args().skip(1).collect();
    if images.is_empty() {
        images = ["before", "after", "chart"].map(|name| format!("tests/corpus/world/{name}.png")).into();
    }
    let model = SmolVlm::load(Source::Demo, Options::default())?;
    let conversations: Vec<Conversation> = images
        .iter()
        .map(|image| Message::user().image(image.as_str()).text("Describe this picture.").into())
        .collect();
    let embeddings: Vec<Vec<f32>> = model.hidden_states(&conversations)?.iter().map(|states| states.mean()).collect();
    for (image, embedding) in images.iter().zip(&embeddings) {
        let similarities: Vec<String> =
            embeddings.iter().map(|other| format!("{:.3}", cosine(embedding, other))).collect();
        println!("{image}: {}", similarities.join(" "));
    }
    Ok(())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
