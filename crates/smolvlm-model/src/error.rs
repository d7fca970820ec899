//! The error type of this crate.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What can go wrong while weights are opened and loaded, or a model is run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A weight file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A folder holds no weights that can be read.
    #[error("{}: found neither model.safetensors nor model.safetensors.index.json{hint}", path.display())]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// What was found instead, if it helps; starts with punctuation.
        hint: &'static str,
    },
    /// A file is not valid safetensors: cut short, or with a header that contradicts itself or the file.
    #[error("{}: not a valid safetensors file: {message}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The list of weight files is wrong.
    #[error("{}: {message}", path.display())]
    ShardIndex {
        /// The list.
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
    /// An adapter that does not fit the model, or holds what is not supported.
    #[error("{}: {message}", path.display())]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A tensor is stored in a type that is not read.
    #[error("tensor {name} is stored as {dtype}; weights can be F32, BF16 or F16")]
    TensorType {
        /// The tensor.
        name: String,
        /// The type's name in the file.
        dtype: String,
    },
    /// The weights do not fit the configuration.
    #[error("the weights do not fit config.json: {0}")]
    WeightMismatch(Box<WeightMismatch>),
    /// A module and the table of tensors disagree: the module has a parameter that no tensor feeds, or the other way
    /// round. Only a module changed by its user can get there.
    #[error("no tensor belongs to the module's parameter {0}")]
    UnknownParameter(String),

    /// The number of image tokens of the prompt differs from the number of features its images give.
    #[error(
        "the prompt holds {tokens} image tokens, its images give {features} features; build both from the same tiles"
    )]
    ImageTokenMismatch {
        /// Image tokens over all rows.
        tokens: usize,
        /// Feature rows over all images.
        features: usize,
    },
    /// A token id is outside the vocabulary.
    #[error("token id {id} (row {row}, position {position}) is outside the vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Its row.
        row: usize,
        /// Its position in the row.
        position: usize,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// An argument has the wrong size, or contradicts another one.
    #[error("{what}: {message}")]
    Input {
        /// The argument.
        what: &'static str,
        /// What is wrong, with the numbers.
        message: String,
    },
    /// The vision encoder refused its tiles.
    #[error(transparent)]
    Vision(#[from] smolvlm_vision::Error),
    /// The connector refused its patches.
    #[error(transparent)]
    Connector(#[from] smolvlm_connector::Error),
    /// The text model refused its tokens.
    #[error(transparent)]
    Text(#[from] smolvlm_text::Error),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
    /// The device failed, or cannot do what was asked.
    #[error("device: {0}")]
    Device(String),
    /// The device has no memory left.
    #[error(
        "device: {0}; a shorter conversation, fewer tiles or conversations at once or a smaller number format need less"
    )]
    OutOfMemory(String),
}

impl Error {
    /// What a device says of its failure, as one line: without the trace of calls behind it, and without the list of work that
    /// was not done because of it.
    pub fn device(failure: &impl std::fmt::Display) -> Self {
        let text = failure.to_string();
        let lines = text.lines().map(str::trim).take_while(|line| !line.to_lowercase().starts_with("backtrace"));
        let follows = ["skipped `", "Caused by:", "Several failures", "No backtrace", "Asked at:"];
        let says = |line: &&str| {
            !(line.is_empty()
                || line.contains("older skip record")
                || follows.iter().any(|start| line.starts_with(start)))
        };
        let mut said: Vec<&str> = lines.filter(says).collect();
        said.dedup();
        let said = said.join(", ");
        let lower = said.to_lowercase();
        if ["out of memory", "out of device memory", "out-of-memory"].iter().any(|words| lower.contains(words)) {
            Self::OutOfMemory(said)
        } else {
            Self::Device(said)
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(crate) fn input(what: &'static str, message: impl Into<String>) -> Self {
        Self::Input { what, message: message.into() }
    }
}

/// A stored tensor whose shape is not the one that the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The tensor.
    pub name: String,
    /// Shape that the configuration asks for.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

/// Everything in which weights and configuration disagree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightMismatch {
    /// Tensors that are not there.
    pub missing: Vec<String>,
    /// Tensors of another shape.
    pub shape_mismatches: Vec<ShapeMismatch>,
    /// Tensors that are there and belong to nothing.
    pub unexpected: Vec<String>,
    /// Whether the output projection is missing though the configuration says that it is not tied to the embeddings.
    pub untied_head_missing: bool,
}

/// Names that a message spells out before it counts.
const SPELLED_OUT: usize = 10;

impl fmt::Display for WeightMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if !self.missing.is_empty() {
            write!(f, "{} missing: ", self.missing.len())?;
            list(f, &self.missing, |f, name| f.write_str(name))?;
            separator = "; ";
        }
        if !self.shape_mismatches.is_empty() {
            write!(f, "{separator}{} of another shape: ", self.shape_mismatches.len())?;
            list(f, &self.shape_mismatches, |f, tensor| {
                let ShapeMismatch { name, expected, found } = tensor;
                if found.len() > SPELLED_OUT {
                    return write!(f, "{name} has {} dimensions and should be {expected:?}", found.len());
                }
                write!(f, "{name} is {found:?} and should be {expected:?}")
            })?;
            separator = "; ";
        }
        if self.untied_head_missing {
            write!(
                f,
                "{separator}{} may only be missing when tie_word_embeddings is true at the top level of config.json",
                crate::weights::LM_HEAD
            )?;
            separator = "; ";
        }
        if !self.unexpected.is_empty() {
            write!(f, "{separator}{} that belong to nothing: ", self.unexpected.len())?;
            list(f, &self.unexpected, |f, name| f.write_str(name))?;
        }
        Ok(())
    }
}

/// Writes the first items, then how many more there are.
fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut item: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, value) in items.iter().take(SPELLED_OUT).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item(f, value)?;
    }
    if items.len() > SPELLED_OUT {
        write!(f, " and {} more", items.len() - SPELLED_OUT)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_is_one_line() {
        let launch = "An out-of-memory error happened during launch\nCaused by:\n  no page left\nBacktrace\n  0: main";
        let error = Error::device(&launch);
        assert!(matches!(&error, Error::OutOfMemory(said)
            if said == "An out-of-memory error happened during launch, no page left"));
        assert!(error.to_string().contains("need less"));
        let several = "An error happened\nCaused by:\n  Several failures at once\n  The bytes were never written\n  \
                       skipped `Matmul`: it needed memory 3\n  (545 older skip record(s) were dropped)\n  Asked at:\n";
        assert!(matches!(Error::device(&several), Error::Device(said)
            if said == "An error happened, The bytes were never written"));
        assert!(
            matches!(Error::device(&"The device is lost\nThe device is lost\n\n"), Error::Device(said) if said == "The device is lost")
        );
    }

    #[test]
    fn long_shapes_are_counted() {
        let tensor = ShapeMismatch { name: "w".to_owned(), expected: vec![2], found: vec![1; 1_000_000] };
        let mismatch = WeightMismatch { shape_mismatches: vec![tensor], ..Default::default() };
        assert_eq!(mismatch.to_string(), "1 of another shape: w has 1000000 dimensions and should be [2]");
    }

    #[test]
    fn long_lists_are_cut() {
        let mismatch = WeightMismatch {
            missing: (0..13).map(|i| format!("t{i}")).collect(),
            shape_mismatches: vec![ShapeMismatch { name: "w".to_owned(), expected: vec![2, 3], found: vec![3, 2] }],
            ..Default::default()
        };
        let text = Error::WeightMismatch(Box::new(mismatch)).to_string();
        assert_eq!(
            text,
            "the weights do not fit config.json: 13 missing: t0, t1, t2, t3, t4, t5, t6, t7, t8, t9 and 3 more; \
             1 of another shape: w is [3, 2] and should be [2, 3]"
        );
    }
}
