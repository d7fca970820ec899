//! `smolvlm describe`: media in, words out.

use crate::args::Describe;
use crate::failure::Failure;
use crate::output::print_timings;
use smolvlm::{Event, Message};
use std::io::Write;

/// Streams the answer to stdout, then the timings to stderr.
pub fn run(args: &Describe) -> Result<(), Failure> {
    let message = args.media.iter().fold(Message::user(), |message, media| message.image(media.as_str()));
    let model = args.model.load()?;
    let params = model.sampling().max_new_tokens(args.max_new_tokens);

    let mut stdout = std::io::stdout().lock();
    let mut at_start = true;
    for event in model.stream(message.text(args.prompt.as_str()), params)? {
        match event? {
            Event::Text(delta) => {
                // Models put a blank in front of their answer.
                let shown = if at_start { delta.trim_start() } else { &delta };
                at_start &= shown.is_empty();
                stdout.write_all(shown.as_bytes())?;
                stdout.flush()?;
            }
            Event::Finished(generation) => {
                writeln!(stdout)?;
                print_timings(generation.prompt_tokens, generation.token_ids.len(), &generation.timings);
            }
            _ => {}
        }
    }
    Ok(())
}
