//! Where lines come from: a terminal with editing and history, or a pipe.

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{self, BufRead, ErrorKind, IsTerminal, Read as _};

/// Longest line in bytes: a question, not a file.
const MAX_LINE: u64 = 1 << 20;

/// Where lines come from.
pub enum Input {
    /// A person who types them.
    Terminal(Box<DefaultEditor>),
    /// A file or program.
    Pipe,
}

/// A line, or why there is none.
pub enum Read {
    /// A line without its end.
    Line(String),
    /// Ctrl-C instead of a line.
    Interrupted,
    /// There are no more.
    End,
}

impl Input {
    /// A terminal if stdin and stdout are one.
    pub fn open() -> io::Result<Self> {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            let editor = DefaultEditor::new().map_err(io::Error::other)?;
            return Ok(Self::Terminal(Box::new(editor)));
        }
        Ok(Self::Pipe)
    }

    /// Whether a person types.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// Waits for the next line.
    pub fn read(&mut self) -> io::Result<Read> {
        match self {
            Self::Terminal(editor) => match editor.readline("> ") {
                Ok(line) => {
                    editor.add_history_entry(line.as_str()).map_err(io::Error::other)?;
                    Ok(Read::Line(line))
                }
                Err(ReadlineError::Interrupted) => Ok(Read::Interrupted),
                Err(ReadlineError::Eof) => Ok(Read::End),
                Err(ReadlineError::Io(error)) => Err(error),
                Err(error) => Err(io::Error::other(error)),
            },
            Self::Pipe => Ok(read_line(&mut io::stdin().lock())?.map_or(Read::End, Read::Line)),
        }
    }
}

/// The next line of a pipe; none at its end. An error of the kind `InvalidData` has skipped its line.
fn read_line(pipe: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if pipe.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == MAX_LINE && !line.ends_with(b"\n") {
        pipe.skip_until(b'\n')?;
        return Err(io::Error::new(ErrorKind::InvalidData, format!("it has more than {MAX_LINE} bytes")));
    }
    let text = String::from_utf8(line).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_skipped_whole() {
        let long = vec![b'a'; 2 * MAX_LINE as usize];
        let pipe = [b"one\n\xff\xfe\ntwo\n", &long[..], b"\nthree"].concat();
        let mut pipe = pipe.as_slice();
        let mut next = || read_line(&mut pipe).map_err(|error| error.kind());
        assert_eq!(next(), Ok(Some("one\n".to_owned())));
        assert_eq!(next(), Err(ErrorKind::InvalidData));
        assert_eq!(next(), Ok(Some("two\n".to_owned())));
        assert_eq!(next(), Err(ErrorKind::InvalidData));
        assert_eq!(next(), Ok(Some("three".to_owned())));
        assert_eq!(next(), Ok(None));
    }
}
