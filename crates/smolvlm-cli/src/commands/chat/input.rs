//! Line input from a terminal, with editing and history, or from a pipe.

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{self, BufRead, ErrorKind, IsTerminal, Read as _};

/// Maximum line length in bytes.
const MAX_LINE: u64 = 1 << 20;

/// The source of input lines.
pub enum Input {
    /// An interactive terminal.
    Terminal(Box<DefaultEditor>),
    /// A file or pipe.
    Pipe,
}

/// The result of reading a line.
pub enum Read {
    /// A line, from a terminal without its line break.
    Line(String),
    /// Ctrl-C instead of a line.
    Interrupted,
    /// End of input.
    End,
}

impl Input {
    /// Uses a terminal if both stdin and stdout are terminals.
    pub fn open() -> io::Result<Self> {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            let editor = DefaultEditor::new().map_err(io::Error::other)?;
            return Ok(Self::Terminal(Box::new(editor)));
        }
        Ok(Self::Pipe)
    }

    /// Whether input is interactive.
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

/// Reads the next line of a pipe; none at its end. After an `InvalidData` error, the line has been skipped.
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
    fn invalid_lines_are_skipped() {
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
