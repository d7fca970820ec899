//! Conversations from a JSON Lines file.

use crate::{Dataset, Error, Example, SampleError};
use serde_json::Value;
use smolvlm_config::without_byte_order_mark;
use smolvlm_processor::{Content, Conversation, ImageSource, VideoSource};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Maximum length of a line in bytes. Lines may contain images as base64.
const MAX_LINE_BYTES: u64 = 1 << 28;

/// A data set of one conversation per line: a list of messages as [`Conversation::from_json`] takes it, or an object
/// that has such a list as `messages`. Paths are relative to the file's folder; empty lines are skipped.
///
/// Only the positions of the lines are kept in memory.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: Mutex<File>,
    /// Start, length and number (counted from one) of each line.
    lines: Vec<(u64, u64, u64)>,
}

impl JsonLines {
    /// Opens a file and indexes its lines without parsing them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let fail = |source| Error::io(&path, source);
        let mut reader = BufReader::new(File::open(&path).map_err(fail)?);
        let (mut lines, mut start, mut buffer) = (Vec::new(), 0, Vec::new());
        for number in 1.. {
            buffer.clear();
            let read = reader.read_until(b'\n', &mut buffer).map_err(fail)? as u64;
            if read == 0 {
                break;
            }
            let line = buffer.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&buffer);
            if !line.trim_ascii().is_empty() {
                lines.push((start, read, number));
            }
            start += read;
        }
        Ok(Self { file: Mutex::new(reader.into_inner()), path, lines })
    }

    fn line(&self, index: u64) -> Option<(u64, u64, u64)> {
        self.lines.get(usize::try_from(index).ok()?).copied()
    }

    fn read(&self, start: u64, len: u64) -> std::io::Result<String> {
        if len > MAX_LINE_BYTES {
            return Err(std::io::Error::other(format!("the line has {len} bytes; the limit is {MAX_LINE_BYTES}")));
        }
        // A lock poisoned by a panic is still usable: each use seeks first.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))?;
        let mut text = String::new();
        (&mut *file).take(len).read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Dataset for JsonLines {
    fn len(&self) -> Option<u64> {
        Some(self.lines.len() as u64)
    }

    fn get(&self, index: u64) -> Result<Example, SampleError> {
        let (start, len, _) =
            self.line(index).ok_or_else(|| SampleError::Read(format!("there is no sample {index}")))?;
        let text = self.read(start, len).map_err(|error| SampleError::Read(error.to_string()))?;
        let text = without_byte_order_mark(&text);
        let text = match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(object)) => match object.get("messages") {
                Some(messages) => messages.to_string(),
                None => return Err(SampleError::Read("the object has no \"messages\"".to_owned())),
            },
            // The conversation parser reports errors in everything else.
            _ => text.to_owned(),
        };
        let mut conversation = Conversation::from_json(&text)?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let contents = conversation.messages.iter_mut().flat_map(|message| &mut message.content);
        contents.for_each(|content| resolve_paths(content, folder));
        let example = Example::new(conversation);
        Ok(match self.origin(index) {
            Some(origin) => example.with_origin(origin),
            None => example,
        })
    }

    fn origin(&self, index: u64) -> Option<String> {
        let (_, _, number) = self.line(index)?;
        Some(format!("{}, line {number}", self.path.display()))
    }
}

/// Resolves relative paths against a folder.
fn resolve_paths(content: &mut Content, folder: &Path) {
    let image = |source: &mut ImageSource| {
        if let ImageSource::Path(path) = source {
            // A long path to no existing file may be an image as base64, which stays unchanged.
            let there = folder.join(&*path);
            if path.is_relative() && (path.as_os_str().len() < 256 || there.exists()) {
                *path = there;
            }
        }
    };
    match content {
        Content::Image(source) => image(source),
        Content::Video(VideoSource::Path(path)) if path.is_relative() => *path = folder.join(&*path),
        Content::Video(VideoSource::Frames(frames)) => frames.images.iter_mut().for_each(image),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::JsonLines;
    use crate::Dataset;
    use smolvlm_processor::{Content, ImageSource};

    #[test]
    fn lines_are_conversations_with_paths_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        let message = r#"[{"role":"user","content":[{"type":"image","path":"a.png"},{"type":"text","text":"b"}]},
            {"role":"assistant","content":"c"}]"#
            .replace('\n', "");
        let text = format!("\u{feff}{message}\n\n{{\"messages\":{message}}}\nnonsense\n{{}}\n\u{feff}\n");
        std::fs::write(&path, text).unwrap();
        let lines = JsonLines::open(&path).unwrap();
        assert_eq!(lines.len(), Some(4));
        for index in 0..2 {
            let example = lines.get(index).unwrap();
            let Content::Image(ImageSource::Path(image)) = &example.conversation.messages[0].content[0] else {
                panic!("an image with a path")
            };
            assert_eq!(*image, folder.path().join("a.png"));
            assert_eq!(example.conversation.messages[1].as_string(), Some("c"));
        }
        assert_eq!(lines.get(1).unwrap().origin, Some(format!("{}, line 3", path.display())));
        assert!(lines.get(2).unwrap_err().to_string().contains("line 1"));
        assert!(lines.get(3).unwrap_err().to_string().contains("messages"));
        assert!(lines.get(4).is_err());
    }
}
