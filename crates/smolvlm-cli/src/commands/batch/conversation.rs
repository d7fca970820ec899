//! The conversation about a row.

use super::cell::Cell;
use super::row::{Data, Row};
use super::template::Template;
use crate::media;
use smolvlm::processor::{MediaKind, Processor};
use smolvlm::{Content, Conversation, ImageSource, Message, VideoSource};
use std::path::Path;

/// Length of a string from which it may be an image in base64 instead of a path.
const MIN_BASE64: usize = 256;

/// The only column of files in a folder.
pub const PATH: &str = "path";

/// How rows become conversations.
#[derive(Debug, Clone, PartialEq)]
pub enum Recipe {
    /// A column has the messages.
    Messages {
        /// Its name.
        column: String,
    },
    /// One message with images, videos and a prompt, in this order.
    Columns {
        /// Columns of images.
        images: Vec<String>,
        /// Columns of videos.
        videos: Vec<String>,
        /// The prompt; none for the default.
        prompt: Option<Template>,
    },
}

impl Recipe {
    /// The columns that it needs.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Messages { column } => vec![column],
            Self::Columns { images, videos, prompt } => {
                let media = images.iter().chain(videos).map(String::as_str);
                media.chain(prompt.iter().flat_map(Template::columns)).collect()
            }
        }
    }

    /// The conversation about a row.
    ///
    /// # Errors
    ///
    /// What is missing or malformed in the row.
    pub fn conversation(&self, row: Row, processor: &Processor) -> Result<Conversation, String> {
        match (self, row.data?) {
            (Self::Messages { column }, Data::Columns(mut columns)) => {
                messages(take(&mut columns, column)?, &row.folder)
            }
            (Self::Messages { .. }, Data::Messages(list)) => messages(list, &row.folder),
            (Self::Columns { .. }, Data::Messages(_)) => Err("it is a list, not an object with columns".to_owned()),
            (Self::Messages { .. }, Data::File { .. }) => Err("a file has no messages".to_owned()),
            (Self::Columns { prompt, .. }, Data::File { path, name }) => {
                let is_video = MediaKind::of_path(&path) == Some(MediaKind::Video);
                let content = if is_video { Content::Video(path.into()) } else { Content::Image(path.into()) };
                let columns = [(PATH.to_owned(), Cell::Text(name))];
                let text = prompt.as_ref().map(|prompt| prompt.render(&columns)).transpose()?;
                Ok(question(vec![content], text, processor))
            }
            (Self::Columns { images, videos, prompt }, Data::Columns(mut columns)) => {
                // Before the media are taken out of the columns.
                let text = prompt.as_ref().map(|prompt| prompt.render(&columns)).transpose()?;
                let mut content = Vec::new();
                for name in images {
                    for image in medium(take(&mut columns, name)?, name)? {
                        content.push(Content::Image(image.into_image(&row.folder)));
                    }
                }
                for name in videos {
                    for video in medium(take(&mut columns, name)?, name)? {
                        content.push(Content::Video(video.into_video(&row.folder)));
                    }
                }
                Ok(question(content, text, processor))
            }
        }
    }
}

fn question(content: Vec<Content>, text: Option<String>, processor: &Processor) -> Conversation {
    let text = text.unwrap_or_else(|| media::default_prompt(&content, processor).to_owned());
    let mut message = Message::user();
    message.content = content;
    message.text(text).into()
}

/// Takes the value of a column.
fn take(columns: &mut [(String, Cell)], name: &str) -> Result<Cell, String> {
    let found = columns.iter_mut().find(|(other, _)| other == name);
    let (_, cell) = found.ok_or_else(|| format!("there is no column '{name}'"))?;
    Ok(std::mem::replace(cell, Cell::Null))
}

/// A conversation in JSON, as a value or as text.
fn messages(cell: Cell, folder: &Path) -> Result<Conversation, String> {
    let json = match cell {
        Cell::Text(text) => text,
        cell => cell.into_json().to_string(),
    };
    let mut conversation = Conversation::from_json(&json).map_err(|error| error.to_string())?;
    let contents = conversation.messages.iter_mut().flat_map(|message| &mut message.content);
    contents.for_each(|content| resolve(content, folder));
    Ok(conversation)
}

/// An image or a video in a column.
enum Medium {
    /// A path, a URL or base64.
    Text(String),
    Base64(String),
    Bytes(Vec<u8>),
}

impl Medium {
    fn into_image(self, folder: &Path) -> ImageSource {
        let mut source = match self {
            Self::Text(text) => text.into(),
            Self::Base64(text) => ImageSource::Base64(text),
            Self::Bytes(bytes) => bytes.into(),
        };
        resolve_image(&mut source, folder);
        source
    }

    fn into_video(self, folder: &Path) -> VideoSource {
        let mut source = match self {
            Self::Text(text) => text.into(),
            Self::Base64(text) => VideoSource::Base64(text),
            Self::Bytes(bytes) => bytes.into(),
        };
        resolve_video(&mut source, folder);
        source
    }
}

/// The images or videos of a column.
fn medium(cell: Cell, name: &str) -> Result<Vec<Medium>, String> {
    match cell {
        Cell::List(cells) => cells.into_iter().map(|cell| single(cell, name)).collect(),
        cell => Ok(vec![single(cell, name)?]),
    }
}

/// One image or video. A struct of `bytes` and `path` has the file in `bytes`, or else at `path`.
fn single(cell: Cell, name: &str) -> Result<Medium, String> {
    let wrong = |cell: &Cell| Err(format!("column '{name}' is {}, not an image or a video", cell.kind()));
    match cell {
        Cell::Text(text) if !text.is_empty() => Ok(Medium::Text(text)),
        Cell::Bytes(bytes) => Ok(Medium::Bytes(bytes)),
        Cell::Struct(mut fields) => {
            let mut field = |name| take(&mut fields, name).ok().filter(|cell| *cell != Cell::Null);
            match (field("bytes"), field("path")) {
                (Some(Cell::Bytes(bytes)), _) => Ok(Medium::Bytes(bytes)),
                (Some(Cell::Text(base64)), _) => Ok(Medium::Base64(base64)),
                (None, Some(Cell::Text(path))) if !path.is_empty() => Ok(Medium::Text(path)),
                _ => Err(format!("column '{name}' has neither bytes nor a path")),
            }
        }
        Cell::Text(_) => Err(format!("column '{name}' is an empty string")),
        other => wrong(&other),
    }
}

/// Resolves relative paths against a folder.
fn resolve(content: &mut Content, folder: &Path) {
    match content {
        Content::Image(image) => resolve_image(image, folder),
        Content::Video(video) => resolve_video(video, folder),
        _ => {}
    }
}

fn resolve_image(source: &mut ImageSource, folder: &Path) {
    if let ImageSource::Path(path) = source {
        let there = folder.join(&*path);
        if path.as_os_str().len() < MIN_BASE64 || there.exists() {
            *path = there;
        }
    }
}

fn resolve_video(source: &mut VideoSource, folder: &Path) {
    match source {
        VideoSource::Path(path) => {
            let there = folder.join(&*path);
            if path.as_os_str().len() < MIN_BASE64 || there.exists() {
                *path = there;
            }
        }
        VideoSource::Frames(frames) => frames.images.iter_mut().for_each(|image| resolve_image(image, folder)),
        _ => {}
    }
}
