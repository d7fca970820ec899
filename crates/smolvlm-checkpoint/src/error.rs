//! The error type of this crate.

use smolvlm_kernels::PackedFormat;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// An error of reading or writing the files of a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A weight file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A folder contains no supported weight files.
    #[error("{}: found neither model.safetensors nor model.safetensors.index.json{hint}", path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// What was found instead, if anything; starts with punctuation.
        hint: &'static str,
    },
    /// A file is not valid safetensors: truncated, or with a header that is inconsistent.
    #[error("{}: not a valid safetensors file: {message}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A GGUF file is invalid, or has properties that are not supported.
    #[error("{}: {message}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: names the key or the tensor.
        message: String,
    },
    /// The index of weight files is invalid.
    #[error("{}: {message}", path.display())]
    ShardIndex {
        /// The index file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Two stored tensors have the same name, perhaps one with and one without the leading `model.`.
    #[error("{}: tensor {name} is stored twice", path.display())]
    DuplicateTensor {
        /// The file that holds the second one.
        path: PathBuf,
        /// The name, with the prefix.
        name: String,
    },
    /// An adapter does not fit the model or uses unsupported features.
    #[error("{}: {message}", path.display())]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A tensor is stored in a type that it cannot have.
    #[error("tensor {name} is stored as {dtype}, which this tensor cannot have")]
    TensorType {
        /// The tensor.
        name: String,
        /// The type's name in the file.
        dtype: String,
    },
    /// A tensor is quantized in a form that earlier versions wrote, and that was too inaccurate to keep.
    #[error(
        "tensor {name} was quantized by an earlier version; run `smolvlm quantize` again on the original checkpoint"
    )]
    OutdatedQuantization {
        /// The tensor.
        name: String,
    },
    /// The weights do not fit the configuration.
    #[error("the weights do not fit the configuration: {0}")]
    WeightMismatch(Box<WeightMismatch>),
    /// The parameters of a module and the table of tensors do not match: one has no counterpart in the other. This
    /// happens only if the module was modified.
    #[error("no tensor corresponds to the module's parameter {0}")]
    UnknownParameter(String),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
    /// Checkpoints are written in quantized formats only.
    #[error("{0:?} is not a quantized format; choose Q8 or Q4")]
    NotQuantized(PackedFormat),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// A stored tensor whose shape differs from that of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The tensor.
    pub name: String,
    /// Shape according to the configuration.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

/// All differences between weights and configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightMismatch {
    /// Tensors that are missing.
    pub missing: Vec<String>,
    /// Tensors with a different shape.
    pub shape_mismatches: Vec<ShapeMismatch>,
    /// Stored tensors that the model does not have.
    pub unexpected: Vec<String>,
    /// Whether the output projection is missing although the configuration does not tie it to the embeddings.
    pub untied_head_missing: bool,
}

/// Maximum number of items that a message lists.
const MAX_LISTED: usize = 10;

impl fmt::Display for WeightMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if !self.missing.is_empty() {
            write!(f, "{} missing: ", self.missing.len())?;
            list(f, &self.missing, |f, name| f.write_str(name))?;
            separator = "; ";
        }
        if !self.shape_mismatches.is_empty() {
            write!(f, "{separator}{} with a different shape: ", self.shape_mismatches.len())?;
            list(f, &self.shape_mismatches, |f, tensor| {
                let ShapeMismatch { name, expected, found } = tensor;
                if found.len() > MAX_LISTED {
                    return write!(f, "{name} has {} dimensions instead of {expected:?}", found.len());
                }
                write!(f, "{name} is {found:?} instead of {expected:?}")
            })?;
            separator = "; ";
        }
        if self.untied_head_missing {
            write!(
                f,
                "{separator}{} may only be missing when tie_word_embeddings is true at the top level of config.json",
                crate::tensor_specs::LM_HEAD
            )?;
            separator = "; ";
        }
        if !self.unexpected.is_empty() {
            write!(f, "{separator}{} unexpected: ", self.unexpected.len())?;
            list(f, &self.unexpected, |f, name| f.write_str(name))?;
        }
        Ok(())
    }
}

/// Writes the first items and the number of the others.
fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut item: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, value) in items.iter().take(MAX_LISTED).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item(f, value)?;
    }
    if items.len() > MAX_LISTED {
        write!(f, " and {} more", items.len() - MAX_LISTED)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_shapes_are_not_listed() {
        let tensor = ShapeMismatch { name: "w".to_owned(), expected: vec![2], found: vec![1; 1_000_000] };
        let mismatch = WeightMismatch { shape_mismatches: vec![tensor], ..Default::default() };
        assert_eq!(mismatch.to_string(), "1 with a different shape: w has 1000000 dimensions instead of [2]");
    }

    #[test]
    fn long_lists_are_truncated() {
        let mismatch = WeightMismatch {
            missing: (0..13).map(|i| format!("t{i}")).collect(),
            shape_mismatches: vec![ShapeMismatch { name: "w".to_owned(), expected: vec![2, 3], found: vec![3, 2] }],
            ..Default::default()
        };
        let text = Error::WeightMismatch(Box::new(mismatch)).to_string();
        assert_eq!(
            text,
            "the weights do not fit the configuration: 13 missing: t0, t1, t2, t3, t4, t5, t6, t7, t8, t9 and 3 more; \
             1 with a different shape: w is [3, 2] instead of [2, 3]"
        );
    }
}
