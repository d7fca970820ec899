//! Messages on stderr. Errors of writing them are ignored, so that a command does not fail because of its messages.

use std::fmt::Display;
use std::io::Write;

/// Writes a line.
pub fn line(text: impl Display) {
    // In one call, so that lines of other threads do not interleave.
    let text = format!("{text}\n");
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Writes a warning.
pub fn note(text: impl Display) {
    line(format_args!("smolvlm: note: {text}"));
}

/// Writes the name of the stage that starts.
pub fn progress(stage: impl Display) {
    line(format_args!("smolvlm: {stage}"));
}

/// Writes an error message.
pub fn error(text: impl Display) {
    line(format_args!("smolvlm: {text}"));
}
