//! Answers several conversations as one batch: `cargo run -p smolvlm --example batch --features demo`.

use smolvlm::{Conversation, Error, Message, Options, SmolVlm, Source};

fn main() -> Result<(), Error> {
    let model = SmolVlm::load(Source::Demo, Options::default())?;
    let conversations: [Conversation; 3] = [
        Message::user().image("tests/corpus/world/sign.png").text("Read the sign.").into(),
        Message::user().image("tests/corpus/world/chart.png").text("Which bar is the tallest?").into(),
        Message::user()
            .image("tests/corpus/world/before.png")
            .image("tests/corpus/world/after.png")
            .text("What is different in the second picture?")
            .into(),
    ];
    for answer in model.batch(&conversations, model.sampling())? {
        println!("{}", answer.text());
    }
    Ok(())
}
