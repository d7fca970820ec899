//! Worker threads that each compute a share of a batch.

use crate::parameters::Parameter;
use crate::step::{LossAndGradients, evaluate};
use crate::{Error, Sample};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use smolvlm_model::SmolVlmModel;

/// A single-threaded pool per worker: parallel loops inside an operation then run on that one thread, and threads
/// synchronize once per step instead of once per operation.
pub(crate) struct Workers {
    pools: Vec<ThreadPool>,
    micro_batch: usize,
}

impl Workers {
    pub(crate) fn new(threads: usize, micro_batch: usize) -> Result<Self, Error> {
        let pool = |index: usize| {
            let builder = ThreadPoolBuilder::new().num_threads(1).thread_name(move |_| format!("train {index}"));
            builder.build().map_err(|error| Error::Thread(error.to_string()))
        };
        let pools = (0..threads.max(1)).map(pool).collect::<Result<_, _>>()?;
        Ok(Self { pools, micro_batch })
    }

    /// Sums the losses of all target tokens of the samples, each times `scale`, and with `with_gradients` their
    /// gradients.
    pub(crate) fn run(
        &self,
        model: &SmolVlmModel,
        parameters: &[Parameter],
        samples: &[Sample],
        scale: f32,
        with_gradients: bool,
    ) -> Result<LossAndGradients, Error> {
        let shares = shares(samples, self.pools.len());
        let micro_batch = self.micro_batch;
        let results: Vec<Result<LossAndGradients, Error>> = std::thread::scope(|scope| {
            let mut threads = Vec::with_capacity(self.pools.len());
            for (pool, share) in self.pools.iter().zip(shares) {
                let model = model.clone();
                let work = move || evaluate(&model, parameters, &share, scale, micro_batch, with_gradients);
                threads.push(scope.spawn(move || pool.install(work)));
            }
            threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::Panic))).collect()
        });
        let mut results = results.into_iter();
        let mut total = results.next().unwrap_or(Ok(LossAndGradients::default()))?;
        for other in results {
            let other = other?;
            total.loss += other.loss;
            total.gradients.par_iter_mut().zip(other.gradients).for_each(|(sum, other)| {
                if sum.is_empty() {
                    *sum = other;
                } else {
                    sum.iter_mut().zip(other).for_each(|(sum, value)| *sum += value);
                }
            });
        }
        Ok(total)
    }
}

/// Distributes samples so that all workers have about the same amount of work, each worker's samples sorted by length.
fn shares(samples: &[Sample], workers: usize) -> Vec<Vec<&Sample>> {
    // A tile costs about as much as 64 tokens.
    let cost = |sample: &Sample| sample.ids.len() + sample.tiles * 64;
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by_key(|sample| std::cmp::Reverse((cost(sample), sample.ids.len())));
    let mut shares = vec![(0, Vec::new()); workers];
    for sample in sorted {
        if let Some((total, share)) = shares.iter_mut().min_by_key(|(total, _)| *total) {
            *total += cost(sample);
            share.push(sample);
        }
    }
    let shares = shares.into_iter().map(|(_, mut share)| {
        share.sort_by_key(|sample| sample.ids.len());
        share
    });
    shares.filter(|share| !share.is_empty()).collect()
}
