//! Output of answers: text to stdout, timings to stderr.

use crate::failure::Failure;
use crate::{media, say};
use smolvlm::{Event, FinishReason, Generation, SmolVlm};
use std::io::{self, Write};

/// Streams an answer to stdout and returns it; none if the stream ends without one. Fails if stdout cannot be written.
pub fn stream(events: impl Iterator<Item = Result<Event, smolvlm::Error>>) -> Result<Option<Generation>, Failure> {
    stream_to(&mut to_stdout, events)
}

/// Writes to stdout and flushes.
pub fn to_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Streams an answer to `write` and returns it; none if the stream ends without one.
pub fn stream_to(
    write: &mut dyn FnMut(&str) -> io::Result<()>,
    events: impl Iterator<Item = Result<Event, smolvlm::Error>>,
) -> Result<Option<Generation>, Failure> {
    let mut at_start = true;
    for event in events {
        match event {
            Ok(Event::Text(delta)) => {
                // Models generate a leading space.
                let shown = if at_start { delta.trim_start() } else { &delta };
                at_start &= shown.is_empty();
                write(shown)?;
            }
            Ok(Event::Finished(generation)) => {
                write("\n")?;
                return Ok(Some(generation));
            }
            Ok(_) => {}
            Err(error) => {
                if !at_start {
                    write("\n")?;
                }
                return Err(error.into());
            }
        }
    }
    Ok(None)
}

/// Prints complete answers.
pub fn print(model: &SmolVlm, answers: &[Generation]) -> Result<(), Failure> {
    for answer in answers {
        to_stdout(&format!("{}\n", answer.text()))?;
        print_timings(model, answer);
    }
    Ok(())
}

/// Prints to stderr the warnings about an answer's media, its timings, the number format, and why it stopped before
/// it was complete.
pub fn print_timings(model: &SmolVlm, answer: &Generation) {
    media::print_notes(&answer.notes);
    let timings = &answer.timings;
    let cached = match answer.cached_tokens {
        0 => String::new(),
        tokens => format!(" ({tokens} cached)"),
    };
    let reason = match answer.finish_reason {
        FinishReason::Eos | FinishReason::Complete => String::new(),
        reason => format!(" (ended by {})", reason.as_str()),
    };
    let rate = timings.decode_rate().map(|rate| format!(" ({rate:.1} tokens/s)")).unwrap_or_default();
    let [process, vision, prefill, decode] = [timings.process, timings.vision, timings.prefill, timings.decode];
    say::line(format_args!(
        "{} prompt tokens{cached}, {} new{reason}; \
         process {process:.2?}, vision {vision:.2?}, prefill {prefill:.2?}, decode {decode:.2?}{rate}; {}",
        answer.prompt_tokens,
        answer.token_ids.len(),
        model.format(),
    ));
}
