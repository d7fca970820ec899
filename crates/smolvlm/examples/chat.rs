//! A conversation of several turns, whose images and tokens are computed once:
//! `cargo run -p smolvlm --example chat --features demo`.

use smolvlm::{Error, Message, Options, SmolVlm, Source};

fn main() -> Result<(), Error> {
    let model = SmolVlm::load(Source::Demo, Options::default())?;
    let params = model.sampling();
    let mut chat = model.start_chat([]);
    let first = Message::user().image("tests/corpus/world/shapes.png").text("Describe this picture.");
    println!("{}", chat.send(first, &params)?.text());
    let answer = chat.send(Message::user().text("How many shapes are there?"), &params)?;
    println!("{}", answer.text());
    println!("{} of {} prompt tokens were cached", answer.cached_tokens, answer.prompt_tokens);
    Ok(())
}
