//! The error type of this crate.

use std::io;
use std::path::PathBuf;

/// An error of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option has an invalid value.
    #[error("{option} is {value}: {legal}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// Description of valid values.
        legal: &'static str,
    },
    /// A pattern of parameter names matches no parameter.
    #[error("no parameter matches {pattern:?}; names are those of the checkpoint, such as {example}")]
    NoSuchParameter {
        /// The pattern.
        pattern: String,
        /// The name of a parameter.
        example: String,
    },
    /// A sample cannot be used. To skip such samples, set `bad_samples` to [`Policy::Skip`](crate::Policy::Skip).
    #[error("sample {index}{}: {source}", place(.origin))]
    Sample {
        /// Index of the sample in its data set.
        index: u64,
        /// File and line that it comes from.
        origin: Option<String>,
        /// What is wrong with it.
        source: Box<SampleError>,
    },
    /// Too many consecutive samples cannot be used.
    #[error("{skipped} samples in a row cannot be used; the last one: {last}")]
    NoUsableSample {
        /// Number of consecutive samples skipped.
        skipped: u64,
        /// What was wrong with the last one.
        last: String,
    },
    /// The data set is empty.
    #[error("the data set is empty")]
    EmptyDataset,
    /// The loss or a gradient is NaN or infinite.
    #[error(
        "step {step}: the {what} is not finite; lower the learning rate, check the samples of this step, or skip such \
         steps (bad_steps). Checkpoints saved earlier are unaffected"
    )]
    NotFinite {
        /// The step, counted from one.
        step: u64,
        /// What is not finite.
        what: &'static str,
    },
    /// Training cannot resume from a checkpoint with this model.
    #[error("{}: {message}", path.display())]
    Resume {
        /// The checkpoint or a file of it.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// Adapter files do not fit this model or use unsupported features.
    #[error("{}: {message}", path.display())]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Weights or adapters are unusable.
    #[error(transparent)]
    Checkpoint(#[from] smolvlm_checkpoint::Error),
    /// The model rejected its inputs.
    #[error(transparent)]
    Model(smolvlm_model::Error),
    /// The processor's files could not be written.
    #[error(transparent)]
    Processor(#[from] smolvlm_processor::Error),
    /// A thread of the trainer panicked; its message went to standard error.
    #[error("a thread of the trainer panicked")]
    Panic,
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

impl From<smolvlm_model::Error> for Error {
    fn from(error: smolvlm_model::Error) -> Self {
        match error {
            smolvlm_model::Error::Checkpoint(error) => Self::Checkpoint(error),
            error => Self::Model(error),
        }
    }
}

/// The reason why a sample cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// It could not be read.
    #[error("{0}")]
    Read(String),
    /// It could not be processed: an image that is missing or damaged, for instance.
    #[error(transparent)]
    Process(#[from] smolvlm_processor::Error),
    /// It has no assistant message.
    #[error("no message has the role assistant, so there is nothing to train on")]
    NoTarget,
    /// It is longer than the model's context or the configured limit.
    #[error("{tokens} tokens exceed the limit of {limit}; shorten the conversation or use fewer or smaller images")]
    TooLong {
        /// Tokens that it has.
        tokens: usize,
        /// Tokens that it may have.
        limit: usize,
    },
    /// The chat template renders the first messages differently when more follow, so that the assistant's text cannot
    /// be located in the prompt.
    #[error("the chat template renders the first {messages} messages differently when more follow")]
    Template {
        /// Number of messages.
        messages: usize,
    },
    /// The tokens cannot be aligned with the text of the prompt.
    #[error("the tokenizer gives other tokens with offsets than without")]
    Offsets,
}

fn place(origin: &Option<String>) -> String {
    origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default()
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
