//! Safetensors files of tensors, written atomically.

use crate::args::Conversations;
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::output::{discard_on_interrupt, write_failure};
use safetensors::tensor::{Dtype, View};
use smolvlm::Conversation;
use smolvlm_files::OutputFile;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

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
    /// Validates the path before any work is done, without creating the file. `model` are the files of the checkpoint.
    ///
    /// # Errors
    ///
    /// A path that cannot be written, or that is an input of the command: the conversations, their images and videos,
    /// the checkpoint.
    pub fn new(
        path: &Path,
        file: &Conversations,
        conversations: &[Conversation],
        model: &[PathBuf],
    ) -> Result<Self, Failure> {
        let mut inputs = Inputs::default();
        inputs.add(&file.conversation);
        model.iter().for_each(|file| inputs.add(file));
        conversations.iter().for_each(|conversation| inputs.add_media(conversation));
        inputs.refuse(path)?;
        discard_on_interrupt()?;
        let output = OutputFile::resolve(path).map_err(|error| write_failure(path, error))?;
        Ok(Self { path: path.to_owned(), output })
    }

    /// Writes the arrays.
    ///
    /// # Errors
    ///
    /// Errors of writing; an existing file is then unchanged.
    pub fn write(self, arrays: &[Array], metadata: HashMap<String, String>) -> Result<(), Failure> {
        let failed = |error| write_failure(&self.path, error);
        let draft = self.output.draft().map_err(failed)?;
        let views = arrays.iter().map(|array| (array.name.as_str(), array));
        safetensors::serialize_to_file(views, Some(metadata), draft.path())
            .map_err(|error| Failure::Write { path: self.path.clone(), message: error.to_string() })?;
        draft.commit().map_err(failed)
    }
}
