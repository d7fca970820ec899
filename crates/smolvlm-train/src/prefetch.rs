//! Prefetching of batches while the model trains on the current one.

use crate::order::Order;
use crate::{Dataset, Error, Policy, Sample};
use smolvlm_processor::Processor;
use std::sync::mpsc::SyncSender;

/// The samples of one step.
pub(crate) struct Batch {
    pub(crate) samples: Vec<Sample>,
    /// Position of the next batch in the order of samples.
    pub(crate) next: u64,
    /// Errors of the samples that were skipped.
    pub(crate) skipped: Vec<Error>,
}

/// Loads and processes batches.
pub(crate) struct BatchLoader<'a> {
    pub(crate) dataset: &'a dyn Dataset,
    pub(crate) processor: &'a Processor,
    pub(crate) limit: usize,
    pub(crate) policy: Policy,
}

/// Maximum number of consecutive samples that are skipped.
const MAX_SKIPPED: u64 = 10_000;

impl BatchLoader<'_> {
    /// Loads and processes the sample at an index.
    pub(crate) fn sample(&self, index: u64) -> Result<Sample, Error> {
        let fail = |origin: Option<String>| move |source| Error::Sample { index, origin, source: Box::new(source) };
        let example = self.dataset.get(index).map_err(|source| fail(self.dataset.origin(index))(source))?;
        Sample::new(self.processor, &example, self.limit).map_err(fail(example.origin))
    }

    /// Loads a batch of `size` samples, starting at a position.
    fn batch(&self, order: &mut Order, mut position: u64, size: usize) -> Result<Batch, Error> {
        let (mut samples, mut skipped, mut in_a_row) = (Vec::with_capacity(size), Vec::new(), 0);
        while samples.len() < size {
            match self.sample(order.at(position)) {
                Ok(sample) => {
                    samples.push(sample);
                    in_a_row = 0;
                }
                Err(error) if self.policy == Policy::Skip => {
                    in_a_row += 1;
                    if in_a_row >= self.dataset.len().unwrap_or(MAX_SKIPPED).min(MAX_SKIPPED) {
                        return Err(Error::NoUsableSample { skipped: in_a_row, last: error.to_string() });
                    }
                    skipped.push(error);
                }
                Err(error) => return Err(error),
            }
            position += 1;
        }
        Ok(Batch { samples, next: position, skipped })
    }

    /// Sends `count` batches. Ends earlier after an error, or when the receiver is dropped.
    pub(crate) fn send_batches(
        &self,
        mut order: Order,
        mut position: u64,
        size: usize,
        count: u64,
        sender: &SyncSender<Result<Batch, Error>>,
    ) {
        for _ in 0..count {
            let batch = self.batch(&mut order, position, size);
            if let Ok(batch) = &batch {
                position = batch.next;
            }
            let failed = batch.is_err();
            if sender.send(batch).is_err() || failed {
                return;
            }
        }
    }
}
