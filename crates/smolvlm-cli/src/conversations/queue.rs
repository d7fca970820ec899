//! Queue of conversations from a file to the model.

use super::items::{Item, Items};
use crate::failure::Failure;
use serde_json::Value;
use smolvlm::Conversation;
use smolvlm::processor::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Maximum text size of a batch in bytes, unless a single conversation is larger: it may contain images as base64.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// Time to wait for more input from a pipe before running an incomplete batch.
const BATCH_TIMEOUT: Duration = Duration::from_millis(20);

/// A conversation, or the error of reading it.
pub struct Entry {
    /// Index in the file, from 0.
    pub index: usize,
    /// The conversation or error.
    pub conversation: Result<Conversation, Failure>,
    bytes: usize,
}

/// The conversations of a file or pipe, read while others are answered. At most two batches are in memory.
pub struct Queue {
    entries: Receiver<Entry>,
    /// None to always wait for full batches.
    timeout: Option<Duration>,
}

impl Queue {
    /// Starts reading a file; `-` is stdin.
    ///
    /// # Errors
    ///
    /// A file that cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::start(|| io::stdin().lock(), path.into(), Some(BATCH_TIMEOUT)));
        }
        let failed = |source| Failure::Read { path: path.into(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let timeout = (!metadata.is_file()).then_some(BATCH_TIMEOUT);
        Ok(Self::start(move || BufReader::new(file), path.into(), timeout))
    }

    fn start<R: BufRead>(open: impl FnOnce() -> R + Send + 'static, path: PathBuf, timeout: Option<Duration>) -> Self {
        // One entry is buffered while the next one is read.
        let (sender, entries) = sync_channel(1);
        thread::spawn(move || {
            let ending = path.extension().and_then(|ending| ending.to_str());
            let is_lines =
                ending.is_some_and(|ending| ["jsonl", "ndjson"].iter().any(|e| e.eq_ignore_ascii_case(ending)));
            for (index, item) in Items::new(open(), is_lines).enumerate() {
                let bytes = item.as_ref().map_or(0, |item| item.text.as_ref().map_or(0, Vec::len));
                let conversation = match item {
                    Ok(item) => parse(item)
                        .map_err(|source| Failure::Conversation { path: path.clone(), source: Box::new(source) }),
                    Err(source) => Err(Failure::Read { path: path.clone(), source }),
                };
                if sender.send(Entry { index, conversation, bytes }).is_err() {
                    break;
                }
            }
        });
        Self { entries, timeout }
    }

    /// The next conversations, at most `max`; none at the end. From a pipe, those that are available.
    pub fn batch(&self, max: usize) -> Vec<Entry> {
        let Ok(first) = self.entries.recv() else { return Vec::new() };
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while batch.len() < max && bytes < MAX_BATCH_BYTES {
            let next = match self.timeout {
                Some(timeout) => self.entries.recv_timeout(timeout),
                None => self.entries.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let Ok(next) = next else { break };
            bytes += next.bytes;
            batch.push(next);
        }
        batch
    }
}

/// Parses a list of messages, or an object with `messages`. Lines and columns of errors refer to the file.
fn parse(item: Item) -> Result<Conversation, Error> {
    let (line, column) = (item.line, item.column);
    let of_file = move |error| match error {
        Error::Json { line: inner, column: within, message } => {
            Error::Json { line: line + inner - 1, column: if inner == 1 { column + within } else { within }, message }
        }
        error => error,
    };
    let broken = |message: &str| Error::Json { line: 1, column: 0, message: message.to_owned() };
    let parse = || {
        let bytes = item.text.ok_or_else(|| broken("it is too long; the rest of the file is ignored"))?;
        let text = String::from_utf8(bytes).map_err(|_| broken("it is not UTF-8"))?;
        if text.starts_with('{')
            && let Ok(Value::Object(mut object)) = serde_json::from_str(&text)
            && let Some(messages) = object.remove("messages")
        {
            return Conversation::from_json(&messages.to_string());
        }
        Conversation::from_json(&text)
    };
    parse().map_err(of_file)
}
