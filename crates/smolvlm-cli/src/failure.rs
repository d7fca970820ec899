//! The error type of commands.

use smolvlm::model::Error as DeviceError;
use std::io;
use std::path::PathBuf;

/// Errors of commands, with messages of one line.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Errors of loading or running the model.
    #[error(transparent)]
    Model(#[from] smolvlm::Error),
    /// Errors of the server.
    #[cfg(feature = "server")]
    #[error(transparent)]
    Server(#[from] smolvlm_server::Error),
    /// Errors of training.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] smolvlm_train::Error),
    /// A file that could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// An invalid conversation file.
    #[error("{}: {source}", path.display())]
    Conversation {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<smolvlm::processor::Error>,
    },
    /// A file that is not a JSON schema.
    #[error("{}: --json-schema: {message}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// A file that could not be written.
    #[error("{}: {message}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// An output that is also an input.
    #[error("{}: is read by this command; choose another output", path.display())]
    OutputIsInput {
        /// The output.
        path: PathBuf,
    },
    /// Errors of `batch`.
    #[error(transparent)]
    Batch(#[from] crate::commands::batch::BatchError),
    /// An invalid line of a file of labels.
    #[error(transparent)]
    Label(#[from] crate::commands::decide::LabelError),
    /// A page that cannot be read.
    #[error(transparent)]
    Page(#[from] crate::commands::document::PageError),
    /// The end of a run by Ctrl-C.
    #[error("interrupted; the same command resumes")]
    Interrupted,
    /// Failures that have already been printed to stderr.
    #[error("some inputs failed")]
    Reported,
    /// The test image of `bench` could not be encoded.
    #[error(transparent)]
    Picture(#[from] crate::commands::bench::PictureError),
    /// An invalid chat command.
    #[error(transparent)]
    Line(#[from] crate::commands::chat::LineError),
    /// Stdin could not be read.
    #[error("cannot read a line: {0}")]
    Input(io::Error),
    /// The Ctrl-C handler could not be installed.
    #[error("cannot install a Ctrl-C handler: {0}")]
    Signal(ctrlc::Error),
    /// Stdout could not be written.
    #[error("cannot write to stdout: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Replaces a device error by the backend's first panic, which is closer to the cause.
    pub fn with_first_cause(self, cause: Option<&str>) -> Self {
        match (self, cause) {
            (Self::Model(smolvlm::Error::Model(DeviceError::Device(_))), Some(cause)) => {
                Self::Model(DeviceError::device(&cause).into())
            }
            (failure, _) => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_errors_show_the_first_cause() {
        let device = |said: &str| Failure::Model(DeviceError::Device(said.to_owned()).into());
        let told = device("bytes were never written").with_first_cause(Some("wgpu error: Out of Memory")).to_string();
        assert!(told.contains("Out of Memory") && told.contains("less memory") && !told.contains("bytes"), "{told}");
        assert_eq!(device("it is lost").with_first_cause(None).to_string(), "device: it is lost");
        let other = Failure::Model(smolvlm::Error::Cancelled).with_first_cause(Some("wgpu error"));
        assert_eq!(other.to_string(), "cancelled");
    }
}
