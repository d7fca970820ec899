//! Output of commands: atomically written files, progress bars.

use crate::args::Conversations;
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::say;
use indicatif::{ProgressBar, ProgressStyle};
use safetensors::tensor::{Dtype, View};
use smolvlm::{Conversation, Progress};
use smolvlm_files::{OutputFile, is_draft};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The exit code after Ctrl-C.
pub const INTERRUPTED: i32 = 130;

/// One tensor of a safetensors file, little endian.
pub struct Array {
    /// The name.
    pub name: String,
    /// The dimensions, outermost first.
    pub shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

impl Array {
    /// An array of 32-bit floats.
    pub fn f32(name: impl Into<String>, shape: impl Into<Vec<usize>>, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), shape: shape.into(), dtype: Dtype::F32, bytes }
    }

    /// An array of 64-bit integers, the type that the reference uses for ids and masks.
    pub fn i64(name: impl Into<String>, shape: impl Into<Vec<usize>>, values: impl Iterator<Item = i64>) -> Self {
        let bytes = values.flat_map(i64::to_le_bytes).collect();
        Self { name: name.into(), shape: shape.into(), dtype: Dtype::I64, bytes }
    }
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// A safetensors output file.
pub struct ArrayFile {
    path: PathBuf,
    output: OutputFile,
}

impl ArrayFile {
    /// Validates the path before any work is done, without creating the file. `folders` are those of the checkpoint.
    ///
    /// # Errors
    ///
    /// A path that cannot be written, or that is an input of the command: the conversations, their images and videos,
    /// the checkpoint.
    pub fn new<'f>(
        path: &Path,
        file: &Conversations,
        conversations: &[Conversation],
        folders: impl IntoIterator<Item = &'f Path>,
    ) -> Result<Self, Failure> {
        let mut inputs = Inputs::default();
        inputs.add(&file.conversation);
        folders.into_iter().for_each(|folder| inputs.add(folder));
        conversations.iter().for_each(|conversation| inputs.add_media(conversation));
        inputs.refuse(path)?;
        discard_on_interrupt()?;
        let output = OutputFile::resolve(path).map_err(|error| failed(path, error))?;
        Ok(Self { path: path.to_owned(), output })
    }

    /// Writes the arrays.
    ///
    /// # Errors
    ///
    /// Errors of writing; an existing file is then unchanged.
    pub fn write(self, arrays: &[Array], metadata: HashMap<String, String>) -> Result<(), Failure> {
        let failed = |error| failed(&self.path, error);
        let draft = self.output.draft().map_err(failed)?;
        let views = arrays.iter().map(|array| (array.name.as_str(), array));
        safetensors::serialize_to_file(views, Some(metadata), draft.path())
            .map_err(|error| Failure::Write { path: self.path.clone(), message: error.to_string() })?;
        draft.commit().map_err(failed)
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::Write { path: path.to_owned(), message: error.to_string() }
}

/// Installs a Ctrl-C handler that deletes incomplete output files.
pub fn discard_on_interrupt() -> Result<(), Failure> {
    let end = || {
        smolvlm_files::discard_drafts();
        std::process::exit(INTERRUPTED);
    };
    ctrlc::set_handler(end).map_err(Failure::Signal)
}

/// Rejects a non-empty checkpoint folder without `force`. Returns the names of files that will be kept.
pub fn check_folder(folder: &Path, force: bool) -> Result<Vec<String>, Failure> {
    let names: Vec<OsString> = match std::fs::read_dir(folder) {
        Ok(entries) => {
            let names = entries.flatten().map(|entry| entry.file_name());
            names.filter(|name| !is_draft(name.as_ref())).collect()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder, error)),
    };
    if !names.is_empty() && !force {
        let message = "already exists; use --force to replace it".to_owned();
        return Err(Failure::Write { path: folder.to_path_buf(), message });
    }
    let kept = names.iter().filter(|name| !smolvlm::is_checkpoint_file(&folder.join(name)));
    Ok(kept.map(|name| name.to_string_lossy().into_owned()).collect())
}

/// Prints a note about files in the folder that are not part of the checkpoint.
pub fn note_kept(folder: &Path, kept: &[String]) {
    if !kept.is_empty() {
        say::note(format_args!(
            "{}: kept files that are not part of the checkpoint: {}",
            folder.display(),
            kept.join(", ")
        ));
    }
}

/// Shows downloads as a progress bar if stderr is a terminal, and prints notes to stderr.
pub fn download_bar() -> impl FnMut(Progress<'_>) {
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let mut current: Option<(String, ProgressBar)> = None;
    move |progress| match progress {
        Progress::Download { file, done, total } => {
            let same = current.as_ref().is_some_and(|(shown, _)| shown == file);
            if !same {
                let bar = ProgressBar::new(total).with_style(style.clone());
                current = Some((file.to_owned(), bar.with_message(file.to_owned())));
            }
            if let Some((_, bar)) = &current {
                bar.set_position(done);
                if done >= total {
                    bar.finish();
                }
            }
        }
        Progress::Note(text) => say::note(text),
        _ => {}
    }
}
