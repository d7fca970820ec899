//! What commands leave behind: files that appear whole or not at all, progress bars.

use crate::failure::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use safetensors::tensor::{Dtype, View};
use smolvlm::Progress;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// One array of a safetensors file, little endian.
pub struct Array {
    /// Its name.
    pub name: String,
    /// Its dimensions, outermost first.
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

/// Writes arrays as a safetensors file. The library writes beside it and renames, so a reader never sees half a file.
pub fn write_arrays(path: &Path, arrays: &[Array], metadata: HashMap<String, String>) -> Result<(), Failure> {
    let views = arrays.iter().map(|array| (array.name.as_str(), array));
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(|error| Failure::Write { path: path.to_path_buf(), message: error.to_string() })
}

/// An error if something is there that must not be overwritten.
pub fn refuse_existing(path: &Path, force: bool) -> Result<(), Failure> {
    if path.exists() && !force {
        let message = "is there already; --force replaces it".to_owned();
        return Err(Failure::Write { path: path.to_path_buf(), message });
    }
    Ok(())
}

/// Shows downloads on a terminal, where `indicatif` draws, and notes on stderr.
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
        Progress::Note(text) => {
            // A note that cannot be written is no reason to fail.
            let _ = writeln!(std::io::stderr(), "smolvlm: note: {text}");
        }
        _ => {}
    }
}
