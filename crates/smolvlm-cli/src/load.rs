//! From the command line's words to a loaded model and conversations.

use crate::args::{Conversations, Model};
use crate::failure::Failure;
use smolvlm::{Conversation, Options, SmolVlm, Source};
use std::io::Read;
use std::path::Path;

/// A conversation file may hold images as base64, but not more than this.
const LONGEST_CONVERSATION_FILE: u64 = 1 << 30;

/// Unused tensors that are named one by one.
const SHOWN_TENSORS: usize = 3;

impl Model {
    /// Where the checkpoint comes from.
    pub fn source(&self) -> Result<Source, Failure> {
        Ok(match self.random {
            Some(preset) => Source::random(preset),
            None => Source::parse(&self.model)?,
        })
    }

    /// How it is to be run.
    pub fn options(&self) -> Options {
        Options {
            device: self.device,
            dtype: self.dtype,
            threads: self.threads.map(usize::from),
            image_splitting: self.no_image_splitting.then_some(false),
            ..Options::default()
        }
    }

    /// Loads it, with a progress bar for downloads if stderr is a terminal.
    pub fn load(&self) -> Result<SmolVlm, Failure> {
        let source = self.source()?;
        let model = SmolVlm::load_with_progress(source, self.options(), &mut crate::output::download_bar())?;
        let unused = &model.load_report().unexpected;
        if !unused.is_empty() {
            let shown = unused.iter().take(SHOWN_TENSORS).cloned().collect::<Vec<_>>().join(", ");
            let more = unused.len().saturating_sub(SHOWN_TENSORS);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            eprintln!("smolvlm: note: the checkpoint holds tensors that the model does not use: {shown}{more}");
        }
        Ok(model)
    }
}

impl Conversations {
    /// Reads them all.
    pub fn read(&self) -> Result<Vec<Conversation>, Failure> {
        let path = &self.conversation;
        let text = read_text(path).map_err(|source| Failure::Read { path: path.clone(), source })?;
        Conversation::many_from_json(&text)
            .map_err(|source| Failure::Conversation { path: path.clone(), source: Box::new(source) })
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let reader: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(std::io::stdin().lock()) } else { Box::new(std::fs::File::open(path)?) };
    reader.take(LONGEST_CONVERSATION_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST_CONVERSATION_FILE {
        return Err(std::io::Error::other(format!("more than {LONGEST_CONVERSATION_FILE} bytes of conversation")));
    }
    Ok(text)
}
