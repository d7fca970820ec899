//! Lines on stderr. One that cannot be written is dropped: what a command is for must not fail for its notes.

use std::fmt::Display;
use std::io::Write;

/// Writes a line.
pub fn line(text: impl Display) {
    // In one piece, so that lines of other threads do not come between.
    let text = format!("{text}\n");
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Writes what a user should know although nothing failed.
pub fn note(text: impl Display) {
    line(format_args!("smolvlm: note: {text}"));
}

/// Writes which stage of a long command begins.
pub fn progress(stage: impl Display) {
    line(format_args!("smolvlm: {stage}"));
}

/// Writes why something failed.
pub fn error(text: impl Display) {
    line(format_args!("smolvlm: {text}"));
}
