//! Data sets of training samples.

use crate::SampleError;
use smolvlm_processor::{Conversation, Message};

/// One conversation to train on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Example {
    /// The conversation; the assistant's messages are the targets.
    pub conversation: Conversation,
    /// Where it comes from, such as `train.jsonl, line 7`, for error messages.
    pub origin: Option<String>,
}

impl Example {
    /// An example of a conversation, without an origin.
    pub fn new(conversation: impl Into<Conversation>) -> Self {
        Self { conversation: conversation.into(), origin: None }
    }

    /// An example of a question with its answer.
    pub fn answer(question: Message, answer: impl Into<String>) -> Self {
        Self::new([question, Message::assistant().text(answer)])
    }

    /// Sets the origin.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }
}

/// A source of samples by index. Samples are fetched on a separate thread while the model trains on earlier ones.
pub trait Dataset: Sync {
    /// Number of samples; none for a data set that generates a sample for every index.
    fn len(&self) -> Option<u64>;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The sample at an index below [`len`](Self::len). The same index must give the same sample, or training that was
    /// interrupted cannot be resumed exactly.
    ///
    /// # Errors
    ///
    /// When the sample cannot be read; the policy for bad samples then applies.
    fn get(&self, index: u64) -> Result<Example, SampleError>;

    /// File and line of a sample that could not be read, for error messages.
    fn origin(&self, _index: u64) -> Option<String> {
        None
    }
}

impl Dataset for [Example] {
    fn len(&self) -> Option<u64> {
        Some(<[Example]>::len(self) as u64)
    }

    fn get(&self, index: u64) -> Result<Example, SampleError> {
        let example = usize::try_from(index).ok().and_then(|index| <[Example]>::get(self, index));
        example.cloned().ok_or_else(|| SampleError::Read(format!("there is no sample {index}")))
    }
}

impl Dataset for Vec<Example> {
    fn len(&self) -> Option<u64> {
        Dataset::len(self.as_slice())
    }

    fn get(&self, index: u64) -> Result<Example, SampleError> {
        Dataset::get(self.as_slice(), index)
    }
}

/// A data set that generates its samples with a function.
pub struct Generated<F> {
    make: F,
}

impl<F: Fn(u64) -> Example + Sync> Generated<F> {
    /// A data set without an end, whose samples `make` generates from their index.
    pub fn new(make: F) -> Self {
        Self { make }
    }
}

impl<F: Fn(u64) -> Example + Sync> Dataset for Generated<F> {
    fn len(&self) -> Option<u64> {
        None
    }

    fn get(&self, index: u64) -> Result<Example, SampleError> {
        Ok((self.make)(index))
    }
}
