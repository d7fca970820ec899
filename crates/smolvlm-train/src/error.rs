//! The error type of this crate.

use std::io;
use std::path::PathBuf;

/// What can go wrong while a model is trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option has a value that cannot be used.
    #[error("{option} is {value}: {legal}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it can be.
        legal: &'static str,
    },
    /// A pattern of parameter names matches none.
    #[error("no parameter matches {pattern:?}; names are those of the checkpoint, such as {example}")]
    NoSuchParameter {
        /// The pattern.
        pattern: String,
        /// The name of a parameter.
        example: String,
    },
    /// A sample that cannot be used. To leave such samples out, set the policy for bad samples to skip.
    #[error("sample {index}{}: {source}", place(.origin))]
    Sample {
        /// Number of the sample in its data set.
        index: u64,
        /// File and line that it comes from.
        origin: Option<String>,
        /// What is wrong with it.
        source: Box<SampleError>,
    },
    /// Only bad samples in a row.
    #[error("{skipped} samples in a row cannot be used; the last one: {last}")]
    NoUsableSample {
        /// How many.
        skipped: u64,
        /// What was wrong with the last one.
        last: String,
    },
    /// There is nothing to learn from.
    #[error("the data set is empty")]
    EmptyDataset,
    /// The loss or a gradient is not a number any more.
    #[error(
        "step {step}: the {what} is not finite; lower the learning rate, look at the samples of this step, or set the policy to \
         skip such steps. What was saved before is unharmed"
    )]
    NotFinite {
        /// The step, counted from one.
        step: u64,
        /// What is not finite.
        what: &'static str,
    },
    /// A checkpoint cannot be continued with this model.
    #[error("{}: {message}", path.display())]
    Resume {
        /// The checkpoint or a file of it.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// Adapter files do not fit this model, or hold what is not supported.
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
        /// What the operating system said.
        source: io::Error,
    },
    /// The model refused its inputs or its weights.
    #[error(transparent)]
    Model(#[from] smolvlm_model::Error),
    /// The processor's files could not be written.
    #[error(transparent)]
    Processor(#[from] smolvlm_processor::Error),
    /// A thread of the trainer panicked; its message went to the standard error output.
    #[error("a thread of the trainer panicked")]
    Panic,
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// What is wrong with a sample.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// It could not be read.
    #[error("{0}")]
    Read(String),
    /// It could not be processed: an image that is missing or damaged, for instance.
    #[error(transparent)]
    Process(#[from] smolvlm_processor::Error),
    /// No message of it is the assistant's.
    #[error("no message is the assistant's, so there is nothing to learn from")]
    NoTarget,
    /// It is longer than the model's context, or the limit of the configuration.
    #[error("{tokens} tokens do not fit {limit}; shorten the conversation or show fewer or smaller images")]
    TooLong {
        /// Tokens that it has.
        tokens: usize,
        /// Tokens that it may have.
        limit: usize,
    },
    /// Message texts cannot be found again in the whole prompt.
    #[error("the chat template renders the first {messages} messages differently when more follow")]
    Template {
        /// How many.
        messages: usize,
    },
    /// Tokens of the prompt cannot be placed in its text.
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
