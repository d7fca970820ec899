//! The error type of this crate.

/// An error of opening or loading weights, or of running a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The files of the checkpoint are unusable.
    #[error(transparent)]
    Checkpoint(#[from] smolvlm_checkpoint::Error),
    /// A module has a parameter that checkpoints do not have.
    #[error("no tensor corresponds to the module's parameter {0}")]
    UnknownParameter(String),

    /// The number of image tokens in the prompt differs from the number of image features.
    #[error(
        "the prompt has {tokens} image tokens, its images have {features} features; build both from the same tiles"
    )]
    ImageTokenMismatch {
        /// Number of image tokens in all rows.
        tokens: usize,
        /// Number of features of all images.
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
    /// An argument has the wrong size or is inconsistent with another one.
    #[error("{what}: {message}")]
    Input {
        /// The argument.
        what: &'static str,
        /// What is wrong, with the numbers.
        message: String,
    },
    /// The memory for keys and values is used up.
    #[error(
        "no room for {tokens} more tokens: there is memory for the keys and values of {free} more tokens; end other \
         sequences or provide more"
    )]
    OutOfPages {
        /// Tokens to add to a sequence.
        tokens: usize,
        /// Tokens for which there is memory.
        free: usize,
    },
    /// A sequence was removed, or belongs to another network.
    #[error("the sequence was removed or belongs to another network")]
    UnknownSequence,
    /// The vision encoder rejected its tiles.
    #[error(transparent)]
    Vision(#[from] smolvlm_vision::Error),
    /// The connector rejected its patches.
    #[error(transparent)]
    Connector(#[from] smolvlm_connector::Error),
    /// The text model rejected its tokens.
    #[error(transparent)]
    Text(#[from] smolvlm_text::Error),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] smolvlm_config::Error),
    /// The device failed or does not support the operation.
    #[error("device: {0}")]
    Device(String),
    /// The device is out of memory.
    #[error(
        "device: {0}; to use less memory, shorten the conversation, use fewer tiles, run fewer conversations at once \
         or choose a smaller number format"
    )]
    OutOfMemory(String),
}

impl Error {
    /// Converts a device's error message to one line, without its backtrace and the list of operations skipped because
    /// of it.
    pub fn device(failure: &impl std::fmt::Display) -> Self {
        let text = failure.to_string();
        let lines = text.lines().map(str::trim).take_while(|line| !line.to_lowercase().starts_with("backtrace"));
        let ignored = ["skipped `", "Caused by:", "Several failures", "No backtrace", "Asked at:"];
        let is_message = |line: &&str| {
            !(line.is_empty()
                || line.contains("older skip record")
                || ignored.iter().any(|start| line.starts_with(start)))
        };
        let mut messages: Vec<&str> = lines.filter(is_message).collect();
        messages.dedup();
        let message = messages.join(", ");
        let lower = message.to_lowercase();
        if ["out of memory", "out of device memory", "out-of-memory"].iter().any(|words| lower.contains(words)) {
            Self::OutOfMemory(message)
        } else {
            Self::Device(message)
        }
    }

    pub(crate) fn input(what: &'static str, message: impl Into<String>) -> Self {
        Self::Input { what, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn device_errors_become_one_line() {
        let launch = "An out-of-memory error happened during launch\nCaused by:\n  no page left\nBacktrace\n  0: main";
        let error = Error::device(&launch);
        assert!(matches!(&error, Error::OutOfMemory(said)
            if said == "An out-of-memory error happened during launch, no page left"));
        assert!(error.to_string().contains("less memory"));
        let several = "An error happened\nCaused by:\n  Several failures at once\n  The bytes were never written\n  \
                       skipped `Matmul`: it needed memory 3\n  (545 older skip record(s) were dropped)\n  Asked at:\n";
        assert!(matches!(Error::device(&several), Error::Device(said)
            if said == "An error happened, The bytes were never written"));
        assert!(
            matches!(Error::device(&"The device is lost\nThe device is lost\n\n"), Error::Device(said) if said == "The device is lost")
        );
    }
}
