//! Where samples come from.

use crate::SampleError;
use smolvlm_processor::{Conversation, Message};

/// One conversation to learn from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Example {
    /// The conversation; the assistant's messages are learnt.
    pub conversation: Conversation,
    /// Where it comes from, such as `train.jsonl, line 7`: for messages.
    pub origin: Option<String>,
}

impl Example {
    /// A conversation.
    pub fn new(conversation: impl Into<Conversation>) -> Self {
        Self { conversation: conversation.into(), origin: None }
    }

    /// A question with its answer.
    pub fn answer(question: Message, answer: impl Into<String>) -> Self {
        Self::new([question, Message::assistant().text(answer)])
    }

    /// Says where it comes from.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }
}

/// Samples by number. Samples are fetched on a thread of their own while the model learns from earlier ones.
pub trait Dataset: Sync {
    /// Number of samples; none for a data set that makes a sample for every number.
    fn len(&self) -> Option<u64>;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The sample of a number below [`len`](Self::len). The same number must give the same sample, or training that was
    /// interrupted cannot be continued exactly.
    ///
    /// # Errors
    ///
    /// When the sample cannot be read. What happens then is up to the policy for bad samples.
    fn get(&self, index: u64) -> Result<Example, SampleError>;

    /// File and line of a sample that could not be read: for messages.
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

/// A data set that makes its samples.
pub struct Generated<F> {
    make: F,
}

impl<F: Fn(u64) -> Example + Sync> Generated<F> {
    /// Samples of a function of their number; as many as asked for.
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
