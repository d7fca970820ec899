//! Where lines come from: a terminal with editing and history, or a pipe.

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{self, BufRead, IsTerminal};

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
            Self::Pipe => {
                let mut line = String::new();
                let length = io::stdin().lock().read_line(&mut line)?;
                Ok(if length == 0 { Read::End } else { Read::Line(line) })
            }
        }
    }
}
