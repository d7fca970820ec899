//! The error type of this crate.

use crate::{Device, Dtype};

/// Errors of loading and running a model. Messages are one line and say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model name that is neither a folder, a GGUF file nor a Hub repository.
    #[error("model '{text}' is neither a folder, a GGUF file nor a Hub repository of the form owner/name{advice}")]
    Source {
        /// The given value.
        text: String,
        /// A suggestion, or empty.
        advice: String,
    },
    /// A checkpoint folder with missing files.
    #[error("{}: incomplete checkpoint, missing {missing}{advice}", folder.display())]
    Incomplete {
        /// The folder.
        folder: std::path::PathBuf,
        /// The missing files.
        missing: String,
        /// A suggestion, or empty.
        advice: String,
    },
    /// A folder of GGUF files without exactly one text model, or with several mmproj files.
    #[error(
        "{}: a folder of GGUF files must have one text model and at most one mmproj file; it has {found}; give the \
         files with --model and --mmproj",
        folder.display()
    )]
    AmbiguousGguf {
        /// The folder.
        folder: std::path::PathBuf,
        /// Names of the GGUF files, text models first.
        found: String,
    },
    /// An mmproj file for a model that is not a GGUF file.
    #[error("an mmproj file belongs to a text model in GGUF, and '{model}' is not one; give such a file with --model")]
    MmprojWithoutGguf {
        /// The model.
        model: String,
    },
    /// A text model that is used where vision encoder and connector are needed.
    #[error("{action} needs vision encoder and connector; of a GGUF model, give the mmproj file, too")]
    TextOnly {
        /// What needs them.
        action: &'static str,
    },
    /// Errors of the checkpoint's configuration files.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
    /// Errors of conversations, images, templates or the tokenizer.
    #[error(transparent)]
    Processor(smolvlm_processor::Error),
    /// Processor and model with different numbers of tokens per tile.
    #[error(
        "the processor produces {prompt} tokens per tile, but the model {model} features; \
         processor_config.json (image_seq_len) and config.json belong to different checkpoints"
    )]
    ImageTokens {
        /// `image_seq_len` of the processor.
        prompt: usize,
        /// Features per tile of the model.
        model: usize,
    },
    /// Errors of the checkpoint's weights and adapters.
    #[error(transparent)]
    Checkpoint(smolvlm_checkpoint::Error),
    /// Errors of model inputs or the device.
    #[error(transparent)]
    Model(smolvlm_model::Error),
    /// Errors of sampling parameters and sampling.
    #[error(transparent)]
    Generate(#[from] smolvlm_generate::Error),
    /// Errors of the Hub.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(crate::hub::HubError),
    /// A folder with an adapter only, whose base model cannot be found.
    #[error(
        "{}: an adapter {}; give its base model with --model and this folder with --adapter (Options::adapters)",
        folder.display(),
        base.as_ref().map_or_else(
            || "that names no base model".to_owned(),
            |base| format!("for '{base}', which is neither a folder nor a Hub repository")
        )
    )]
    AdapterBase {
        /// The adapter's folder.
        folder: std::path::PathBuf,
        /// The base model that its configuration names.
        base: Option<String>,
    },
    /// A chain of adapters that is too long or circular.
    #[error("{}: adapters of adapters nested more than {limit} levels deep", folder.display())]
    AdapterDepth {
        /// The folder of the last adapter that was examined.
        folder: std::path::PathBuf,
        /// The maximum nesting depth.
        limit: usize,
    },
    /// Adapters for a model with random weights.
    #[error("adapters need a trained model; give their base model instead of random weights")]
    AdapterOfRandom,
    /// A Hub repository, in a build without the feature `hub`.
    #[error("'{repo}' is a Hub repository, and this build lacks the feature `hub`; give a checkpoint folder")]
    NoHub {
        /// The requested repository.
        repo: String,
    },
    /// The demo model, in a build without the feature `demo`.
    #[error(
        "this build lacks the feature `demo`, which contains that model; rebuild with it, or give a folder or a Hub \
         repository"
    )]
    NoDemo,
    /// A device whose backend is not compiled in.
    #[error("this build has no backend for device {device}; rebuild with its cargo feature, or use another device")]
    NoBackend {
        /// The requested device.
        device: Device,
    },
    /// A device that this machine does not have.
    #[error("device {device} not found: {}; `smolvlm devices` lists the available devices", device_count(*found))]
    NoDevice {
        /// The requested device.
        device: Device,
        /// Number of devices of that kind.
        found: usize,
    },
    /// A software renderer, which [`Device::Auto`] skips.
    #[error("device {device} ({name}) is a software renderer; select it by name to use it")]
    Software {
        /// The device.
        device: Device,
        /// Its name, as reported by the driver.
        name: String,
    },
    /// A number format that the device does not support.
    #[error("device {device} does not support {dtype}; use auto or f32 (q8 and q4 need flex)")]
    NoDtype {
        /// The requested format.
        dtype: Dtype,
        /// The device.
        device: Device,
    },
    /// Weights that do not fit into the device's memory.
    #[error(
        "the weights need {:.1} GB and device {device} has {:.1} GB{}; use a smaller model, a smaller number format or \
         another device",
        *needs as f64 / 1e9, *holds as f64 / 1e9,
        free.map_or_else(String::new, |free| format!(", {:.1} GB of them free", free as f64 / 1e9))
    )]
    TooLarge {
        /// The device.
        device: Device,
        /// Bytes of the weights in the requested number format.
        needs: u64,
        /// Bytes of the device's memory.
        holds: u64,
        /// Bytes of them that are free, if the device reports it.
        free: Option<u64>,
    },
    /// Sequences of a request that do not fit into memory.
    #[error(
        "{sequences} sequence(s) of up to {tokens} tokens need {:.1} GB for keys, values and logits, and device {device} \
         has {:.1} GB left; lower num_beams, num_return_sequences or max_new_tokens, or send fewer conversations at once",
        *needs as f64 / 1e9, *free as f64 / 1e9
    )]
    TooManySequences {
        /// Number of conversations times beams or texts.
        sequences: usize,
        /// Tokens of the longest one, prompt and answer.
        tokens: usize,
        /// The device.
        device: Device,
        /// Bytes that the sequences need.
        needs: u64,
        /// Bytes available besides the weights.
        free: u64,
    },
    /// An invalid option value.
    #[error("invalid {option} '{value}'; expected {legal}")]
    Option {
        /// The option.
        option: &'static str,
        /// The given value.
        value: String,
        /// The legal values.
        legal: &'static str,
    },
    /// An invalid question of [`SmolVlm::decide`](crate::SmolVlm::decide).
    #[error("question {index} ({field}): {problem}")]
    Question {
        /// Index of the question, from 0.
        index: usize,
        /// The invalid field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An invalid calibration or label.
    #[error("invalid calibration: {message}")]
    Calibration {
        /// What is wrong.
        message: String,
    },
    /// A file that could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file that could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: std::path::PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A folder that cannot be used as [`Options::feature_cache`](crate::Options::feature_cache).
    #[error(
        "cannot use {} as feature cache: {source}; give a folder that this user can create or write, or none",
        folder.display()
    )]
    FeatureCache {
        /// The folder.
        folder: std::path::PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A prompt that leaves no room for an answer.
    #[error(
        "conversation {row}: the prompt has {prompt} tokens, the model's context length is {context}; use fewer or \
         unsplit images, fewer frames or less text, or drop the oldest messages (option truncation, --truncate)"
    )]
    PromptTooLong {
        /// Index of the conversation in the batch.
        row: usize,
        /// Tokens of the prompt.
        prompt: usize,
        /// The model's context length.
        context: usize,
    },
    /// A stream or chat with several answers per prompt or with beam search, whose result is known only at the end.
    #[error(
        "streams support neither beams nor several answers; set num_beams and num_return_sequences to 1, or use batch"
    )]
    SingleAnswerOnly,
    /// Work that was cancelled before there was a result.
    #[error("cancelled")]
    Cancelled,
    /// A bug of this project, or of a library.
    #[error("internal error: {message}; please report it")]
    Panicked {
        /// The message of the panic.
        message: String,
    },
    /// Generation was started inside [`SmolVlm::on_threads`](crate::SmolVlm::on_threads), whose threads it needs.
    #[error("generation cannot run inside `on_threads`, whose threads it needs; call it outside")]
    InsideThreads,
    /// The engine's thread has ended.
    #[error("the engine of the model has stopped")]
    EngineStopped,
    /// Threads that could not be started.
    #[error("cannot start {threads} threads: {message}")]
    Threads {
        /// The requested number of threads.
        threads: usize,
        /// The operating system's error.
        message: String,
    },
}

impl From<smolvlm_processor::Error> for Error {
    fn from(error: smolvlm_processor::Error) -> Self {
        match error {
            smolvlm_processor::Error::Cancelled => Self::Cancelled,
            error => Self::Processor(error),
        }
    }
}

impl From<smolvlm_checkpoint::Error> for Error {
    fn from(error: smolvlm_checkpoint::Error) -> Self {
        match error {
            smolvlm_checkpoint::Error::Cancelled => Self::Cancelled,
            error => Self::Checkpoint(error),
        }
    }
}

impl From<smolvlm_model::Error> for Error {
    fn from(error: smolvlm_model::Error) -> Self {
        match error {
            smolvlm_model::Error::Checkpoint(error) => error.into(),
            error => Self::Model(error),
        }
    }
}

#[cfg(feature = "hub")]
impl From<crate::hub::HubError> for Error {
    fn from(error: crate::hub::HubError) -> Self {
        match error {
            crate::hub::HubError::Cancelled => Self::Cancelled,
            error => Self::Hub(error),
        }
    }
}

/// The number of devices found, as part of a message.
fn device_count(found: usize) -> String {
    match found {
        0 => "no driver reports one".to_owned(),
        found => format!("there are {found} of this kind, numbered from 0"),
    }
}
