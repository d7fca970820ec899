//! Why a command failed, in one line.

use smolvlm::model::Error as DeviceError;
use std::io;
use std::path::PathBuf;

/// Why a command failed, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The model said no.
    #[error(transparent)]
    Model(#[from] smolvlm::Error),
    /// Training failed.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] smolvlm_train::Error),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A conversation file is not what it should be.
    #[error("{}: {source}", path.display())]
    Conversation {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<smolvlm::processor::Error>,
    },
    /// A file could not be written.
    #[error("{}: {message}", path.display())]
    Write {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// An output is also an input.
    #[error("{}: is read by this command; choose another output", path.display())]
    OutputIsInput {
        /// The output.
        path: PathBuf,
    },
    /// Parts of the work failed, and stderr has a line for each.
    #[error("not everything succeeded")]
    Reported,
    /// The picture of `bench` could not be made.
    #[error(transparent)]
    Picture(#[from] crate::commands::bench::PictureError),
    /// A line that means nothing.
    #[error(transparent)]
    Line(#[from] crate::commands::chat::LineError),
    /// Stdin cannot be read.
    #[error("cannot read a line: {0}")]
    Input(io::Error),
    /// Ctrl-C cannot be taken over.
    #[error("cannot take over Ctrl-C: {0}")]
    Signal(ctrlc::Error),
    /// Stdout is gone or full.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Of a device, what its backend said first says more than what failed because of it.
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
    fn the_first_cause_is_told() {
        let device = |said: &str| Failure::Model(DeviceError::Device(said.to_owned()).into());
        let told = device("bytes were never written").with_first_cause(Some("wgpu error: Out of Memory")).to_string();
        assert!(told.contains("Out of Memory") && told.contains("less memory") && !told.contains("bytes"), "{told}");
        assert_eq!(device("it is lost").with_first_cause(None).to_string(), "device: it is lost");
        let other = Failure::Model(smolvlm::Error::Cancelled).with_first_cause(Some("wgpu error"));
        assert_eq!(other.to_string(), "cancelled");
    }
}
