//! The next batches, made while the model learns from the current one.

use crate::order::Order;
use crate::{Dataset, Error, Policy, Sample};
use smolvlm_processor::Processor;
use std::sync::mpsc::SyncSender;

/// Samples of one step.
pub(crate) struct Batch {
    pub(crate) samples: Vec<Sample>,
    /// Where the next batch begins in the order of samples.
    pub(crate) next: u64,
    /// Samples that were left out.
    pub(crate) skipped: Vec<Error>,
}

/// What makes batches.
pub(crate) struct Source<'a> {
    pub(crate) dataset: &'a dyn Dataset,
    pub(crate) processor: &'a Processor,
    pub(crate) limit: usize,
    pub(crate) policy: Policy,
}

/// Bad samples in a row after which even skipping ends.
const MAX_SKIPPED: u64 = 10_000;

impl Source<'_> {
    /// The sample of a number.
    pub(crate) fn sample(&self, index: u64) -> Result<Sample, Error> {
        let fail = |origin: Option<String>| move |source| Error::Sample { index, origin, source: Box::new(source) };
        let example = self.dataset.get(index).map_err(|source| fail(self.dataset.origin(index))(source))?;
        Sample::new(self.processor, &example, self.limit).map_err(fail(example.origin))
    }

    /// A batch of `size` samples from a position on.
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

    /// Makes batches until an error, or nobody wants them any more.
    pub(crate) fn fill(
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
