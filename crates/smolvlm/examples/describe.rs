//! Asks the bundled model about an image: `cargo run -p smolvlm --example describe --features demo -- [IMAGE]`.

use smolvlm::{Error, Message, Options, SmolVlm, Source};

fn main() -> Result<(), Error> {
    let image = std::env::args().nth(1).unwrap_or_else(|| "tests/corpus/world/shapes.png".to_owned());
    let model = SmolVlm::load(Source::Demo, Options::default())?;
    let answer = model.chat([Message::user().image(image).text("Describe this picture.")])?;
    println!("{}", answer.text());
    println!("{} ({} tokens, {:.2?})", answer.finish_reason, answer.token_ids.len(), answer.timings.total());
    Ok(())
}
