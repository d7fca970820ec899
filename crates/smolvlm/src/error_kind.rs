//! Error categories.

use crate::Error;
use smolvlm_checkpoint::Error as CheckpointError;
use smolvlm_model::Error as ModelError;
use smolvlm_processor::Error as ProcessorError;

/// Error category: who can fix an error, or where. Servers derive status codes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is invalid: its conversation, media or parameters.
    Input,
    /// The request is valid but exceeds a limit of the model, of the options or of the memory.
    Limit,
    /// Options, features of the build, or the checkpoint's configuration do not fit together.
    Config,
    /// The checkpoint's weights are missing or damaged.
    Weights,
    /// The device failed or is out of memory.
    Device,
    /// A file or a network connection failed.
    Io,
    /// The work was cancelled.
    Cancelled,
    /// A bug of this project.
    Internal,
}

impl Error {
    /// The category of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Processor(error) => processor(error),
            Self::Checkpoint(CheckpointError::Io { .. }) => ErrorKind::Io,
            Self::Checkpoint(CheckpointError::Config(_) | CheckpointError::NotQuantized(_)) => ErrorKind::Config,
            Self::Checkpoint(_) | Self::Incomplete { .. } => ErrorKind::Weights,
            Self::Model(ModelError::Device(_) | ModelError::OutOfMemory(_)) => ErrorKind::Device,
            Self::Model(ModelError::Config(_)) => ErrorKind::Config,
            Self::Model(_) | Self::SingleAnswerOnly | Self::InsideThreads => ErrorKind::Input,
            // NaN logits are a fault of the weights or the number format.
            Self::Generate(smolvlm_generate::Error::AllNan { .. }) => ErrorKind::Weights,
            Self::Generate(smolvlm_generate::Error::ConstraintBusy { .. }) => ErrorKind::Limit,
            Self::Generate(_) | Self::Question { .. } | Self::Calibration { .. } => ErrorKind::Input,
            #[cfg(feature = "hub")]
            Self::Hub(_) => ErrorKind::Io,
            Self::PromptTooLong { .. } | Self::TooManySequences { .. } => ErrorKind::Limit,
            Self::TooLarge { .. } | Self::Threads { .. } => ErrorKind::Device,
            Self::Panicked { .. } | Self::EngineStopped => ErrorKind::Internal,
            Self::Read { .. } | Self::Write { .. } | Self::FeatureCache { .. } => ErrorKind::Io,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Source { .. }
            | Self::AmbiguousGguf { .. }
            | Self::MmprojWithoutGguf { .. }
            | Self::TextOnly { .. }
            | Self::Config(_)
            | Self::ImageTokens { .. }
            | Self::AdapterBase { .. }
            | Self::AdapterDepth { .. }
            | Self::AdapterOfRandom
            | Self::NoHub { .. }
            | Self::NoDemo
            | Self::NoBackend { .. }
            | Self::NoDevice { .. }
            | Self::Software { .. }
            | Self::NoDtype { .. }
            | Self::Option { .. } => ErrorKind::Config,
        }
    }
}

fn processor(error: &ProcessorError) -> ErrorKind {
    match error {
        ProcessorError::Image { source: smolvlm_image::Error::Limit { .. }, .. }
        | ProcessorError::TooManyMedia { .. }
        | ProcessorError::TooLong { .. }
        | ProcessorError::PromptText { .. }
        | ProcessorError::TooManyTokens { .. }
        | ProcessorError::TooManyTiles { .. }
        | ProcessorError::TooLarge { .. } => ErrorKind::Limit,
        ProcessorError::Video { source, .. } if source.is_limit() => ErrorKind::Limit,
        ProcessorError::Config(_)
        | ProcessorError::File { .. }
        | ProcessorError::MissingTemplate
        | ProcessorError::MissingToken { .. }
        | ProcessorError::PolicyValue { .. }
        | ProcessorError::TileEdges { .. }
        | ProcessorError::Tokenizer { .. } => ErrorKind::Config,
        ProcessorError::Http { .. } | ProcessorError::Io { .. } => ErrorKind::Io,
        _ => ErrorKind::Input,
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorKind;
    use crate::Error;

    #[test]
    fn kinds_say_who_can_fix_an_error() {
        let model = |error: smolvlm_model::Error| Error::from(error).kind();
        assert_eq!(model(smolvlm_model::Error::device(&"lost")), ErrorKind::Device);
        let missing = smolvlm_checkpoint::Error::NoWeights { path: "x".into(), hint: "" };
        assert_eq!(model(missing.into()), ErrorKind::Weights);
        let long = smolvlm_processor::Error::TooLong { tokens: 2, limit: 1 };
        assert_eq!(Error::from(long).kind(), ErrorKind::Limit);
        assert_eq!(Error::from(smolvlm_processor::Error::EmptyBatch).kind(), ErrorKind::Input);
        let busy = smolvlm_generate::Error::ConstraintBusy { message: "takes too long" };
        assert_eq!(Error::from(busy).kind(), ErrorKind::Limit);
        assert_eq!(Error::Cancelled.kind(), ErrorKind::Cancelled);
    }
}
