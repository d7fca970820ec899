//! Loading of models and conversations from arguments.

#[cfg(feature = "flex")]
use crate::args::Quantize;
use crate::args::{Conversations, Model};
use crate::failure::Failure;
use crate::say;
use smolvlm::processor::{Error as ProcessorError, Position};
use smolvlm::{Cancel, Checkpoint, Conversation, Options, SmolVlm, Source};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Maximum size of a conversation file in bytes, which may contain images as base64.
const MAX_CONVERSATION_FILE: u64 = 512 << 20;

/// Number of bytes to read of a file that does not start with a bracket and thus is not a conversation.
const SAMPLE: u64 = 1 << 16;

/// Maximum number of unused tensors to list.
const SHOWN_TENSORS: usize = 3;

impl Model {
    /// The source of the checkpoint.
    pub fn source(&self) -> Result<Source, Failure> {
        Ok(match self.random {
            Some(preset) => Source::random(preset),
            None => with_mmproj(Source::parse(&self.model)?, self.mmproj.as_ref())?,
        })
    }

    /// Opens the checkpoint, downloading it if necessary, without loading it.
    pub fn open(&self) -> Result<Checkpoint, Failure> {
        Ok(self
            .source()?
            .open(&Cancel::new(), &mut crate::download_bar::download_bar())?
            .with_adapters(&self.adapter)?)
    }

    /// Rejects a model without vision encoder before its weights are loaded; one of a repository is not checked here,
    /// since opening downloads it.
    pub fn check_takes_media(&self) -> Result<(), Failure> {
        if matches!(self.source()?, Source::Directory(_) | Source::Gguf { .. }) {
            let checkpoint = self.open()?;
            if checkpoint.is_text_only() {
                // Errors of the file come first.
                checkpoint.config()?;
                return Err(smolvlm::Error::from(ProcessorError::TextOnly { at: Position::default() }).into());
            }
        }
        Ok(())
    }

    /// Loads the model, with a progress bar for downloads if stderr is a terminal.
    pub fn load(&self) -> Result<SmolVlm, Failure> {
        self.load_with(self.options())
    }

    /// Loads the model with the given options.
    pub fn load_with(&self, options: Options) -> Result<SmolVlm, Failure> {
        let source = self.source()?;
        let model = SmolVlm::load_with_progress(source, options, &mut crate::download_bar::download_bar())?;
        let device = model.device().device;
        if device.is_cpu() && !model.skipped_devices().is_empty() {
            let reasons: Vec<String> = model.skipped_devices().iter().map(ToString::to_string).collect();
            say::note(format_args!("auto falls back to {device}: {}", reasons.join("; ")));
        }
        let unused = &model.load_report().unexpected;
        if !unused.is_empty() {
            let shown = unused.iter().take(SHOWN_TENSORS).cloned().collect::<Vec<_>>().join(", ");
            let more = unused.len().saturating_sub(SHOWN_TENSORS);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            say::note(format_args!("the checkpoint contains tensors that the model does not use: {shown}{more}"));
        }
        Ok(model)
    }
}

#[cfg(feature = "flex")]
impl Quantize {
    /// The source of the checkpoint.
    pub fn source(&self) -> Result<Source, Failure> {
        Ok(match (self.random, &self.model) {
            (Some(preset), _) => Source::random(preset),
            (None, model) => with_mmproj(Source::parse(model.as_deref().unwrap_or_default())?, self.mmproj.as_ref())?,
        })
    }
}

/// Adds an mmproj file to a source.
fn with_mmproj(source: Source, mmproj: Option<&PathBuf>) -> Result<Source, Failure> {
    Ok(match mmproj {
        Some(path) => source.with_mmproj(path.clone())?,
        None => source,
    })
}

impl Conversations {
    /// Reads all conversations.
    pub fn read(&self) -> Result<Vec<Conversation>, Failure> {
        read_with(&self.conversation, Conversation::many_from_json)
    }
}

/// Reads a file with one conversation.
pub fn conversation(path: &Path) -> Result<Conversation, Failure> {
    read_with(path, Conversation::from_json)
}

fn read_with<T>(path: &Path, parse: impl Fn(&str) -> Result<T, ProcessorError>) -> Result<T, Failure> {
    let text = read_text(path).map_err(|source| Failure::Read { path: path.into(), source })?;
    parse(&text).map_err(|source| Failure::Conversation { path: path.into(), source: Box::new(source) })
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let reader: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(std::io::stdin().lock()) } else { Box::new(std::fs::File::open(path)?) };
    let mut reader = reader.take(SAMPLE);
    let mut text = Vec::new();
    reader.read_to_end(&mut text)?;
    // The text may start with a byte order mark.
    let first = text.iter().find(|byte| byte.is_ascii() && !byte.is_ascii_whitespace());
    if matches!(first, None | Some(b'[' | b'{')) {
        reader.set_limit(MAX_CONVERSATION_FILE + 1 - text.len() as u64);
        reader.read_to_end(&mut text)?;
    }
    let text = String::from_utf8(text).map_err(|_| std::io::Error::other("is not UTF-8"))?;
    if text.len() as u64 > MAX_CONVERSATION_FILE {
        return Err(std::io::Error::other(format!("more than {MAX_CONVERSATION_FILE} bytes of conversation")));
    }
    Ok(text)
}
