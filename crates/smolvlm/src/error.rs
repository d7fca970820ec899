//! What can go wrong between a checkpoint and an answer.

use crate::{Device, Dtype};

/// What can go wrong between a checkpoint and an answer. Messages are one line and say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model name that is neither a folder nor a hub repository.
    #[error("model '{text}' is neither a folder here nor a hub repository of the form owner/name{advice}")]
    Source {
        /// What was given.
        text: String,
        /// What may have been meant.
        advice: String,
    },
    /// A checkpoint folder without files that every checkpoint has.
    #[error("{}: no complete checkpoint, it lacks {missing}{advice}", folder.display())]
    Incomplete {
        /// The folder.
        folder: std::path::PathBuf,
        /// The files.
        missing: String,
        /// What may have been meant, or what to do.
        advice: String,
    },
    /// The checkpoint's configuration files.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
    /// Conversations, images, templates or the tokenizer.
    #[error(transparent)]
    Processor(#[from] smolvlm_processor::Error),
    /// Processor and model disagree about the tokens of a tile.
    #[error(
        "the processor makes {prompt} tokens of a tile, the model {model} features; \
         image_seq_len of processor_config.json and config.json belong to different checkpoints"
    )]
    ImageTokens {
        /// `image_seq_len` of the processor.
        prompt: usize,
        /// Features of a tile.
        model: usize,
    },
    /// Weights or the model's inputs.
    #[error(transparent)]
    Model(#[from] smolvlm_model::Error),
    /// Sampling parameters.
    #[error(transparent)]
    Generate(#[from] smolvlm_generate::Error),
    /// The hub.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
    /// A folder with an adapter alone, whose base model cannot be found.
    #[error(
        "{}: an adapter {}; give its base model with --model and this folder with --adapter (Options::adapters)",
        folder.display(),
        base.as_ref().map_or_else(
            || "that names no base model".to_owned(),
            |base| format!("of '{base}', which is neither a folder here nor a hub repository")
        )
    )]
    AdapterBase {
        /// The adapter's folder.
        folder: std::path::PathBuf,
        /// What its configuration names.
        base: Option<String>,
    },
    /// Adapters whose base models are adapters, and so on without end.
    #[error("{}: its base model is an adapter of an adapter, more than {limit} deep", folder.display())]
    AdapterDepth {
        /// The folder of the last adapter that was looked at.
        folder: std::path::PathBuf,
        /// Adapters that may follow each other.
        limit: usize,
    },
    /// Adapters for a model without weights.
    #[error("random weights cannot be adapted; give the adapter's base model")]
    AdapterOfRandom,
    /// This build cannot reach the hub.
    #[error("'{repo}' is on the hub, and this build has no feature `hub`; give a checkpoint folder")]
    NoHub {
        /// The repository asked for.
        repo: String,
    },
    /// This build lacks the trained model of the feature `demo`.
    #[error(
        "this build has no feature `demo`, whose model `demo` is; rebuild with it, or give a folder or a hub repository"
    )]
    NoDemo,
    /// This build lacks the device's backend.
    #[error("this build has no backend for device {device}; rebuild with its cargo feature, or take another device")]
    NoBackend {
        /// The device asked for.
        device: Device,
    },
    /// The build has the backend, the machine no such device.
    #[error("there is no device {device}: {}; `smolvlm devices` lists what there is", of_a_kind(*found))]
    NoDevice {
        /// The device asked for.
        device: Device,
        /// How many of that kind there are.
        found: usize,
    },
    /// A graphics interface without a card behind it, which [`Device::Auto`] does not take.
    #[error("device {device} ({name}) draws in software; ask for it by name if you want it")]
    Software {
        /// The device.
        device: Device,
        /// What it calls itself.
        name: String,
    },
    /// The device does not compute in the number format.
    #[error("device {device} does not compute in {dtype}; take auto or f32 (q8 and q4 are for flex)")]
    NoDtype {
        /// The format asked for.
        dtype: Dtype,
        /// The device.
        device: Device,
    },
    /// The device cannot hold the weights.
    #[error(
        "the weights need {:.1} GB and device {device} holds {:.1} GB{}; take a smaller model, a smaller number format or \
         another device",
        *needs as f64 / 1e9, *holds as f64 / 1e9,
        free.map_or_else(String::new, |free| format!(", {:.1} GB of them free", free as f64 / 1e9))
    )]
    TooLarge {
        /// The device.
        device: Device,
        /// Bytes of the weights in the number format asked for.
        needs: u64,
        /// Bytes that the device holds.
        holds: u64,
        /// Bytes of them that are free, as far as it says.
        free: Option<u64>,
    },
    /// The sequences of a request do not fit into memory.
    #[error(
        "{sequences} sequence(s) of up to {tokens} tokens need {:.1} GB for keys, values and logits, and device {device} has \
         {:.1} GB left; lower num_beams, num_return_sequences or max_new_tokens, or send fewer conversations at once",
        *needs as f64 / 1e9, *free as f64 / 1e9
    )]
    TooManySequences {
        /// Conversations times beams or texts.
        sequences: usize,
        /// Tokens of the longest one, prompt and answer.
        tokens: usize,
        /// The device.
        device: Device,
        /// Bytes they need.
        needs: u64,
        /// Bytes that are left besides the weights.
        free: u64,
    },
    /// An option's value is not legal.
    #[error("'{value}' is no {option}; it can be {legal}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What it can be.
        legal: &'static str,
    },
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Which file or folder.
        path: std::path::PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The prompt leaves no room for an answer.
    #[error(
        "conversation {row} makes a prompt of {prompt} tokens, the model's context holds {context}; \
         use fewer or unsplit images, fewer frames or less text, or let its oldest messages be dropped (option truncation, --truncate)"
    )]
    PromptTooLong {
        /// Index of the conversation in the batch.
        row: usize,
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens the model was made for.
        context: usize,
    },
    /// A stream or chat was asked for several answers, or for a beam search, which knows its answer only at the end.
    #[error("a stream gives one answer and no beam search; set num_beams and num_return_sequences to 1, or use batch")]
    OneAnswer,
    /// The work was cancelled before there was anything to give.
    #[error("cancelled")]
    Cancelled,
    /// The thread pool could not be made.
    #[error("cannot start {threads} threads: {message}")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// The system's reason.
        message: String,
    },
}

fn of_a_kind(found: usize) -> String {
    match found {
        0 => "no driver says that it has one".to_owned(),
        found => format!("there are {found} of its kind, counted from 0"),
    }
}
