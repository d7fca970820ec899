//! A child process whose output is read within a deadline.

use crate::limits::Deadline;
use crate::{Error, Isolation};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread::spawn;
use std::time::Duration;

/// Maximum length of a line in bytes; longer ones are split.
const MAX_LINE: u64 = 4096;

/// Interval for polling whether a child that has closed its output has exited.
const POLL: Duration = Duration::from_millis(2);

/// A child process. Dropping it kills the process and waits for it.
pub(super) struct ChildProcess {
    child: Child,
    /// Chunks of the output: lines, or buffers of fixed size.
    output: Receiver<std::io::Result<Vec<u8>>>,
    /// Lines of stderr that pass the filter of [`start`](Self::start).
    log_lines: Receiver<String>,
    /// The error message about the file, or else the first one, sent after the end of stderr.
    error: Receiver<String>,
    deadline: Deadline,
}

/// The splitting of the output.
#[derive(Clone, Copy)]
pub(super) enum Chunks {
    Lines,
    Buffers(usize),
}

impl ChildProcess {
    /// Starts a program without input. `keep` selects lines of stderr for [`next_log_line`](Self::next_log_line).
    pub(super) fn start(
        program: &'static str,
        command: &mut Command,
        chunks: Chunks,
        isolation: Option<&Isolation>,
        deadline: &Deadline,
        keep: fn(&str) -> bool,
    ) -> Result<Self, Error> {
        // With FFREPORT, FFmpeg would write a log file.
        command.env_remove("FFREPORT").env("AV_LOG_FORCE_NOCOLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NeedsFfmpeg { program },
            _ => Error::Decode { message: format!("{program} cannot be started: {error}") },
        })?;
        if let Some(Err(error)) = isolation.map(|isolation| isolation.confine(&child)) {
            // Fails only if the process has exited.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Decode { message: format!("{program} cannot be limited: {error}") });
        }
        // At most one chunk is in the channel, and each thread holds one.
        let (output_sender, output) = sync_channel(1);
        let (log_sender, log_lines) = channel();
        let (error_sender, error) = sync_channel(1);
        if let Some(stdout) = child.stdout.take() {
            spawn(move || send_chunks(stdout, chunks, &output_sender));
        }
        if let Some(stderr) = child.stderr.take() {
            spawn(move || {
                let mut message = None;
                for line in Lines(BufReader::new(stderr)) {
                    let Ok(line) = line else { break };
                    let line = String::from_utf8_lossy(&line);
                    if keep(&line) {
                        if log_sender.send(line.into_owned()).is_err() {
                            break;
                        }
                    } else if message.is_none() || is_about_the_file(&line) {
                        message = error_message(&line).or(message);
                    }
                }
                // Fails if the receiver has been dropped.
                let _ = error_sender.send(message.unwrap_or_default());
            });
        }
        Ok(Self { child, output, log_lines, error, deadline: deadline.clone() })
    }

    /// The next chunk of the output; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match receive(&self.output, &self.deadline)? {
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(Error::Decode { message: error.to_string() }),
            None => Ok(None),
        }
    }

    /// The next selected line of stderr; `None` at the end.
    pub(super) fn next_log_line(&mut self) -> Result<Option<String>, Error> {
        receive(&self.log_lines, &self.deadline)
    }

    /// Waits for the exit of a process that has closed its output. Returns whether it succeeded, and its error message.
    pub(super) fn finish(mut self) -> Result<(bool, String), Error> {
        let message = receive(&self.error, &self.deadline)?.unwrap_or_default();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok((status.success(), message)),
                Ok(None) => {
                    self.deadline.check()?;
                    std::thread::sleep(POLL);
                }
                Err(error) => return Err(Error::Decode { message: error.to_string() }),
            }
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // Fails only if the process has exited; waiting then returns at once.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Receives the next message; `None` if the channel is closed.
fn receive<T>(receiver: &Receiver<T>, deadline: &Deadline) -> Result<Option<T>, Error> {
    loop {
        deadline.check()?;
        match receiver.recv_timeout(deadline.wait()) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Sends the output in chunks until the receiver is dropped. An incomplete buffer at the end is discarded.
fn send_chunks(mut stdout: ChildStdout, chunks: Chunks, sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    let size = match chunks {
        Chunks::Lines => {
            return Lines(BufReader::new(stdout)).try_for_each(|line| sender.send(line)).unwrap_or_default();
        }
        Chunks::Buffers(size) => size,
    };
    loop {
        let mut buffer = vec![0; size];
        let chunk = match stdout.read_exact(&mut buffer) {
            Ok(()) => Ok(buffer),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => Err(error),
        };
        let is_error = chunk.is_err();
        if sender.send(chunk).is_err() || is_error {
            return;
        }
    }
}

/// Lines without line breaks. Lines of more than [`MAX_LINE`] bytes are split.
struct Lines<R>(BufReader<R>);

impl<R: Read> Iterator for Lines<R> {
    type Item = std::io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.0.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                    line.pop();
                }
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// Whether an error line is about the whole file, like the errors that FFmpeg's libraries return:
/// `[error] file:a.mov: Invalid data found`.
fn is_about_the_file(line: &str) -> bool {
    line.starts_with("[error] file:")
}

/// The message of an error line of FFmpeg. `-loglevel level+...` marks these lines:
/// `[mov @ 0x55] [error] moov atom not found`.
fn error_message(line: &str) -> Option<String> {
    let (_, message) = line.split_once("[error] ").or_else(|| line.split_once("[fatal] "))?;
    let message =
        message.rsplit_once(": ").filter(|(before, _)| before.starts_with("file:")).map_or(message, |(_, m)| m);
    let message = message.trim().to_lowercase();
    if message.starts_with("unrecognized option") {
        return Some("the installed FFmpeg is too old; version 5.1 or newer is needed".to_owned());
    }
    if message.starts_with("format not on whitelist") {
        return Some("files of this format may refer to other files, which are not opened".to_owned());
    }
    Some(message).filter(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Lines, error_message};
    use std::io::BufReader;

    #[test]
    fn error_messages_are_extracted_by_log_level() {
        let message = |line| error_message(line).unwrap_or_default();
        assert_eq!(message("[mov,mp4 @ 0x55] [error] Moov atom not found"), "moov atom not found");
        assert_eq!(message("[error] file:a: b.mp4: Invalid data found"), "invalid data found");
        assert_eq!(message("[info] Stream mapping:"), "");
        assert!(message("[fatal] Unrecognized option 'fps_mode'.").contains("5.1 or newer"));
        assert!(message("[hls @ 0x5] [error] Format not on whitelist 'mov'").contains("other files"));
    }

    #[test]
    fn long_lines_are_split() {
        let text = [&[b'x'; 5000][..], b"\r\nlast"].concat();
        let lines: Vec<usize> = Lines(BufReader::new(&text[..])).map(|line| line.unwrap().len()).collect();
        assert_eq!(lines, [4096, 904, 4]);
    }
}
