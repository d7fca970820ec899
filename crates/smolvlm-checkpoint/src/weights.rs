//! The memory-mapped weight files of a checkpoint.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use safetensors::tensor::Dtype;
use smolvlm_config::FloatType;
use smolvlm_kernels::{MappedFile, PackedFormat};

use crate::adapter::LoraDelta;
use crate::error::Error;
use crate::gguf::{GgmlType, gguf_name};
use crate::header::{StoredTensor, StoredType, read_header, readable};
use crate::shards::shard_files;
use crate::tensor_specs::{LM_HEAD, PREFIX, is_text_matrix};

const SINGLE: &str = "model.safetensors";
/// End of the name of a table that models keep in f32.
const POSITION_EMBEDDINGS: &str = ".position_embedding.weight";
const INDEX: &str = "model.safetensors.index.json";

/// The weight files of a checkpoint, memory-mapped and with validated headers; tensors are read on demand.
///
/// Tensor names are those of [`tensor_specs`](crate::tensor_specs): a name without the leading `model.` gets it when
/// the file is opened.
#[derive(Debug)]
pub struct Weights {
    pub(crate) files: Vec<FileBytes>,
    pub(crate) tensors: BTreeMap<String, (usize, StoredTensor)>,
    /// Low-rank updates of adapters by tensor name.
    pub(crate) deltas: BTreeMap<String, Vec<LoraDelta>>,
    /// Whether the files are GGUF, whose tensors have other names.
    pub(crate) is_gguf: bool,
}

/// The bytes of a safetensors file.
#[derive(Debug)]
pub(crate) enum FileBytes {
    Mapped(MappedFile),
    Memory(Cow<'static, [u8]>),
}

impl From<MappedFile> for FileBytes {
    fn from(file: MappedFile) -> Self {
        Self::Mapped(file)
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file,
            Self::Memory(bytes) => bytes,
        }
    }
}

impl FileBytes {
    fn release(&self, range: Range<usize>) {
        if let Self::Mapped(file) = self {
            file.release(range);
        }
    }
}

impl Weights {
    /// Opens the weights at `path`: a folder with `model.safetensors`, or else with `model.safetensors.index.json` and
    /// the files it lists; or a single safetensors file.
    ///
    /// The files must not change during the lifetime of this value (see [`MappedFile`]).
    ///
    /// # Errors
    ///
    /// [`Error::NoWeights`] when a folder has neither, [`Error::Io`] when a file cannot be opened,
    /// [`Error::Safetensors`] and [`Error::ShardIndex`] when a file is invalid, [`Error::DuplicateTensor`] when a name
    /// occurs twice.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Self::open_files(&[path.to_owned()]);
        }
        let (single, index) = (path.join(SINGLE), path.join(INDEX));
        if single.exists() {
            return Self::open_files(&[single]);
        }
        if !index.exists() {
            let hint = if path.join("pytorch_model.bin").exists() || path.join("pytorch_model.bin.index.json").exists()
            {
                " (only pytorch_model.bin; save the model with safetensors)"
            } else {
                ""
            };
            return Err(Error::NoWeights { path: path.to_owned(), hint });
        }
        let shards = shard_files(&index)?;
        let files: Vec<PathBuf> = shards.keys().map(|file| path.join(file)).collect();
        let weights = Self::open_files(&files)?;
        for (position, (file, names)) in shards.iter().enumerate() {
            for name in names {
                let held = weights.tensors.get(&canonical(name.clone()));
                if held.is_none_or(|(holder, _)| *holder != position) {
                    return Err(Error::ShardIndex {
                        path: index,
                        message: format!("it lists {} in {file}, which does not contain it", readable(name)),
                    });
                }
            }
        }
        Ok(weights)
    }

    fn open_files(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut weights = Self::of_files(paths.len());
        for path in paths {
            let file = MappedFile::open(path).map_err(|error| Error::io(path, error))?;
            weights.add(FileBytes::Mapped(file), path)?;
        }
        Ok(weights)
    }

    pub(crate) fn of_files(count: usize) -> Self {
        Self { files: Vec::with_capacity(count), tensors: BTreeMap::new(), deltas: BTreeMap::new(), is_gguf: false }
    }

    /// Opens weights from the bytes of a safetensors file, for example one embedded in the program.
    ///
    /// # Errors
    ///
    /// [`Error::Safetensors`] and [`Error::DuplicateTensor`] for invalid bytes; their messages name
    /// `model.safetensors`.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, Error> {
        let mut weights = Self::of_files(1);
        weights.add(FileBytes::Memory(bytes.into()), Path::new(SINGLE))?;
        Ok(weights)
    }

    /// Adds the tensors of a file; `path` is for error messages.
    fn add(&mut self, file: FileBytes, path: &Path) -> Result<(), Error> {
        for (name, tensor) in read_header(&file, path)? {
            let name = canonical(name);
            if self.tensors.contains_key(&name) {
                return Err(Error::DuplicateTensor { path: path.to_owned(), name: readable(&name) });
            }
            self.tensors.insert(name, (self.files.len(), tensor));
        }
        self.files.push(file);
        Ok(())
    }

    /// Names of all stored tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Shape of a stored tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensor(name).map(|tensor| tensor.shape.as_slice())
    }

    /// The float type of most of the values; `None` if no tensor has a supported float type.
    pub fn float_type(&self) -> Option<FloatType> {
        [FloatType::F32, FloatType::Bf16, FloatType::F16]
            .into_iter()
            .map(|float| {
                let values: usize = self
                    .tensors
                    .values()
                    .filter(|(_, tensor)| tensor.float_type() == Some(float))
                    .map(|(_, tensor)| tensor.range.len() / float.bytes())
                    .sum();
                (values, float)
            })
            .filter(|(values, _)| *values > 0)
            .max_by_key(|(values, _)| *values)
            .map(|(_, float)| float)
    }

    /// The format of the text model's quantized matrices; `None` if no matrix is quantized. For GGUF files it is that
    /// of most of the values: [`PackedFormat::Q4`] for types of 4 bits, [`PackedFormat::Q8`] for those of 5 to 8.
    pub fn quantized(&self) -> Option<PackedFormat> {
        let is_code = |code| self.tensors.values().any(|(_, tensor)| tensor.dtype == StoredType::Plain(code));
        match (is_code(Dtype::U8), is_code(Dtype::I8)) {
            (true, _) => Some(PackedFormat::Q4),
            (false, true) => Some(PackedFormat::Q8),
            (false, false) => [None, Some(PackedFormat::Q8), Some(PackedFormat::Q4)]
                .into_iter()
                .max_by_key(|format| self.text_values_of(*format))
                .flatten(),
        }
    }

    /// Whether bf16 holds all matrices of products and the token embeddings exactly: they are stored so, and no adapter
    /// changes them. In GGUF files, the patch embedding is f32, of values that bf16 may hold.
    pub fn is_bf16(&self) -> bool {
        let is_bf16 = |(name, (_, tensor)): (&String, &(usize, StoredTensor))| match tensor.dtype {
            _ if tensor.shape.len() < 2 || name.ends_with(POSITION_EMBEDDINGS) => true,
            StoredType::Plain(Dtype::BF16 | Dtype::I64) | StoredType::Ggml(GgmlType::Bf16, _) => true,
            StoredType::Plain(Dtype::F32) if tensor.shape.len() == 4 => {
                self.bytes(name).as_chunks::<4>().0.iter().all(|bytes| bytes[..2] == [0, 0])
            }
            _ => false,
        };
        self.deltas.is_empty() && self.tensors.iter().all(is_bf16)
    }

    /// Number of values of the text model's matrices that are nearest to a format; of floats for none.
    fn text_values_of(&self, format: Option<PackedFormat>) -> usize {
        let matrices = self.tensors.iter().filter(|(name, _)| is_text_matrix(name)).map(|(_, (_, tensor))| tensor);
        let nearest = |tensor: &StoredTensor| match tensor.dtype {
            StoredType::Plain(_) => None,
            StoredType::Ggml(ggml_type, _) => ggml_type.nearest_format(),
        };
        matrices.filter(|tensor| nearest(tensor) == format).map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }

    /// The name of a tensor in its file, for messages.
    pub(crate) fn stored_name(&self, name: &str) -> String {
        let translated = if self.is_gguf { gguf_name(name) } else { None };
        translated.unwrap_or_else(|| readable(name))
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name).map(|(_, tensor)| tensor)
    }

    /// The bytes of a stored tensor; empty if there is none of that name.
    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        self.tensors
            .get(name)
            .and_then(|(file, tensor)| self.files.get(*file)?.get(tensor.range.clone()))
            .unwrap_or_default()
    }

    /// Low-rank updates of a stored tensor.
    pub(crate) fn deltas(&self, name: &str) -> &[LoraDelta] {
        self.deltas.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Releases the resident memory of a stored tensor, which can still be read.
    pub(crate) fn release(&self, name: &str) {
        if let Some((file, tensor)) = self.tensors.get(name)
            && let Some(file) = self.files.get(*file)
        {
            file.release(tensor.range.clone());
        }
    }
}

/// Adds the prefix `model.` to a stored name that lacks it. The output projection has no prefix.
pub(crate) fn canonical(name: String) -> String {
    let bare = ["text_model.", "vision_model.", "connector."];
    if name != LM_HEAD && bare.iter().any(|start| name.starts_with(start)) { format!("{PREFIX}{name}") } else { name }
}
