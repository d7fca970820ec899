//! A child process whose output is read without waiting longer than a deadline.

use crate::Error;
use crate::limits::Deadline;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread::spawn;
use std::time::Duration;

/// Longest time that is waited for at once; a deadline far away is checked in between.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Longest part of a line that is kept.
const MAX_LINE: u64 = 4096;

/// How often a child that has closed its output is asked whether it has ended.
const POLL: Duration = Duration::from_millis(2);

/// A running program. It is killed and waited for when this is dropped.
pub(super) struct Running {
    child: Child,
    /// Parts of the output: lines, or buffers of one length.
    output: Receiver<std::io::Result<Vec<u8>>>,
    /// Lines on the error output that the filter of [`start`](Self::start) kept.
    kept: Receiver<String>,
    /// The message of the error about the file, or else of the first one, once the program has ended.
    error: Receiver<String>,
    deadline: Deadline,
}

/// How the output is divided.
#[derive(Clone, Copy)]
pub(super) enum Parts {
    Lines,
    Buffers(usize),
}

impl Running {
    /// Starts a program without input. Of the error output, `keep` chooses lines for [`next_kept`](Self::next_kept).
    pub(super) fn start(
        program: &'static str,
        command: &mut Command,
        parts: Parts,
        deadline: Deadline,
        keep: fn(&str) -> bool,
    ) -> Result<Self, Error> {
        // FFREPORT would write a file.
        command.env_remove("FFREPORT").env("AV_LOG_FORCE_NOCOLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NeedsFfmpeg { program },
            _ => Error::Decode { message: format!("{program} cannot be started: {error}") },
        })?;
        // One part in the channel and one in each thread's hands are all that is held.
        let (output_sender, output) = sync_channel(1);
        let (kept_sender, kept) = channel();
        let (error_sender, error) = sync_channel(1);
        if let Some(stdout) = child.stdout.take() {
            spawn(move || send_parts(stdout, parts, &output_sender));
        }
        if let Some(stderr) = child.stderr.take() {
            spawn(move || {
                let mut message = None;
                for line in Lines(BufReader::new(stderr)) {
                    let Ok(line) = line else { break };
                    let line = String::from_utf8_lossy(&line);
                    if keep(&line) {
                        if kept_sender.send(line.into_owned()).is_err() {
                            break;
                        }
                    } else if message.is_none() || is_about_the_file(&line) {
                        message = error_message(&line).or(message);
                    }
                }
                // Nobody may be interested any more.
                let _ = error_sender.send(message.unwrap_or_default());
            });
        }
        Ok(Self { child, output, kept, error, deadline })
    }

    /// The next part of the output; none at its end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match receive(&self.output, self.deadline)? {
            Some(Ok(part)) => Ok(Some(part)),
            Some(Err(error)) => Err(Error::Decode { message: error.to_string() }),
            None => Ok(None),
        }
    }

    /// The next line that was kept of the error output; none at its end.
    pub(super) fn next_kept(&mut self) -> Result<Option<String>, Error> {
        receive(&self.kept, self.deadline)
    }

    /// Waits for the end of the program, whose output has ended. Whether it succeeded, and its error message.
    pub(super) fn finish(mut self) -> Result<(bool, String), Error> {
        let message = receive(&self.error, self.deadline)?.unwrap_or_default();
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

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended, and then waiting returns at once.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next message; none if there will be no more.
fn receive<T>(receiver: &Receiver<T>, deadline: Deadline) -> Result<Option<T>, Error> {
    loop {
        deadline.check()?;
        match receiver.recv_timeout(deadline.left().unwrap_or(MAX_WAIT).min(MAX_WAIT)) {
            Ok(message) => return Ok(Some(message)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Sends the parts of the output until nobody wants them. An incomplete buffer at the end is left out.
fn send_parts(mut stdout: ChildStdout, parts: Parts, sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    let size = match parts {
        Parts::Lines => {
            return Lines(BufReader::new(stdout)).try_for_each(|line| sender.send(line)).unwrap_or_default();
        }
        Parts::Buffers(size) => size,
    };
    loop {
        let mut buffer = vec![0; size];
        let part = match stdout.read_exact(&mut buffer) {
            Ok(()) => Ok(buffer),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => Err(error),
        };
        let is_error = part.is_err();
        if sender.send(part).is_err() || is_error {
            return;
        }
    }
}

/// Lines without their ends; of longer lines, their beginnings and then the rest as further lines.
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

/// Whether an error line is about the whole file, as FFmpeg's libraries would have it: `[error] file:a.mov: Invalid data found`.
fn is_about_the_file(line: &str) -> bool {
    line.starts_with("[error] file:")
}

/// The message of an error line of FFmpeg, which `-loglevel level+...` marks as such: `[mov @ 0x55] [error] moov atom not found`.
fn error_message(line: &str) -> Option<String> {
    let (_, message) = line.split_once("[error] ").or_else(|| line.split_once("[fatal] "))?;
    let message =
        message.rsplit_once(": ").filter(|(before, _)| before.starts_with("file:")).map_or(message, |(_, m)| m);
    let message = message.trim().to_lowercase();
    if message.starts_with("unrecognized option") {
        return Some("the installed FFmpeg is too old; version 5.1 or newer is needed".to_owned());
    }
    if message.starts_with("format not on whitelist") {
        return Some("files of this format may name other files, which are not opened".to_owned());
    }
    Some(message).filter(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Lines, error_message};
    use std::io::BufReader;

    #[test]
    fn errors_are_found_by_their_level() {
        let message = |line| error_message(line).unwrap_or_default();
        assert_eq!(message("[mov,mp4 @ 0x55] [error] Moov atom not found"), "moov atom not found");
        assert_eq!(message("[error] file:a: b.mp4: Invalid data found"), "invalid data found");
        assert_eq!(message("[info] Stream mapping:"), "");
        assert!(message("[fatal] Unrecognized option 'fps_mode'.").contains("5.1 or newer"));
        assert!(message("[hls @ 0x5] [error] Format not on whitelist 'mov'").contains("other files"));
    }

    #[test]
    fn lines_are_bounded() {
        let text = [&[b'x'; 5000][..], b"\r\nlast"].concat();
        let lines: Vec<usize> = Lines(BufReader::new(&text[..])).map(|line| line.unwrap().len()).collect();
        assert_eq!(lines, [4096, 904, 4]);
    }
}
