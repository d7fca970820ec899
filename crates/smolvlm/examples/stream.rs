//! Prints an answer while it is generated, in a thread of its own, and stops it after a time:
//! `cargo run -p smolvlm --example stream --features demo`.

use smolvlm::{Error, Event, Message, Options, SmolVlm, Source};
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Error> {
    let model = SmolVlm::load(Source::Demo, Options::default())?;
    let message = Message::user().image("tests/corpus/world/shapes.png").text("Describe this picture.");
    // The stream owns a handle of the model, so that it can move to another thread.
    let stream = model.stream(message, model.sampling().max_new_tokens(200))?;
    let cancel = stream.cancel_handle();
    let printer = thread::spawn(move || {
        for event in stream {
            match event? {
                Event::Text(text) => print!("{text}"),
                Event::Finished(answer) => println!(" [{}]", answer.finish_reason),
                _ => {}
            }
        }
        Ok::<_, Error>(())
    });
    // Ends with the text so far, if it is still running then.
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(20));
        cancel.cancel();
    });
    printer.join().unwrap_or(Err(Error::Cancelled))
}
