//! Asks about a video file and about a list of frames: `cargo run -p smolvlm --example video --features demo`.

use smolvlm::{Error, FrameList, Message, Options, SmolVlm, Source};

fn main() -> Result<(), Error> {
    let model = SmolVlm::load(Source::Demo, Options { video_frames: Some(8), ..Options::default() })?;
    let clip = Message::user().video("tests/corpus/world/clip.gif").text("Which way does the blue square move?");
    println!("{}", model.chat([clip])?.text());

    let frames = FrameList::new(["tests/corpus/world/before.png", "tests/corpus/world/after.png"]);
    let answer = model.chat([Message::user().video(frames).text("What changes?")])?;
    println!("{}", answer.text());
    Ok(())
}
