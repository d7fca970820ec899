//! Prefill of a batch.

use crate::features::MediaFeatures;
use crate::{Cancel, Error, SmolVlm};
use burn::tensor::Tensor;
use smolvlm_model::{KvCache, ModelInputs};
use smolvlm_processor::Batch;

/// Prompt length below which prefill time hardly decreases, because reading the weights dominates.
const MIN_TOKENS: usize = 32;

impl SmolVlm {
    /// Runs the prompts of a batch through the model, `chunk` tokens at a time. Returns the KV cache, with a capacity
    /// of `capacity` tokens per row, and the logits of each row's next token. `features` has one entry per image or
    /// video.
    ///
    /// Padding costs as much as text. If there is more padding than that is worth, each row is prefilled separately and
    /// the caches are stacked afterwards.
    pub(crate) fn prefill(
        &self,
        batch: &Batch,
        features: &[MediaFeatures],
        capacity: usize,
        chunk: usize,
        cancel: &Cancel,
    ) -> Result<(KvCache, Vec<f32>), Error> {
        let alone: usize = (0..batch.rows).map(|row| batch.prompt_len(row).max(MIN_TOKENS)).sum();
        if batch.rows * batch.len <= alone {
            let inputs = self.inputs(batch, joined(features));
            let mut cache = self.loaded.network.new_cache(&inputs.padding, capacity);
            let logits = self.run_prompts(&inputs, &mut cache, chunk, cancel)?;
            return Ok((cache, logits));
        }
        let mut features = features;
        let (mut caches, mut logits) = (Vec::with_capacity(batch.rows), Vec::new());
        for row in 0..batch.rows {
            let (own, others) = features.split_at(batch.media[row].len());
            features = others;
            let input_ids = self.prompt_ids(batch, row)?;
            let mut cache = self.loaded.network.new_cache(&[0], input_ids.len());
            let inputs = ModelInputs { input_ids, padding: vec![0], features: joined(own) };
            logits.extend(self.run_prompts(&inputs, &mut cache, chunk, cancel)?);
            caches.push(cache);
        }
        let cache = KvCache::stack(&self.loaded.config.text, &caches, capacity).map_err(smolvlm_model::Error::from)?;
        Ok((cache.unwrap_or_else(|| self.loaded.network.new_cache(&[], capacity)), logits))
    }

    /// Runs inputs through the model after the tokens already in the cache.
    pub(crate) fn run_prompts(
        &self,
        inputs: &ModelInputs,
        cache: &mut KvCache,
        chunk: usize,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, Error> {
        let logits = self.loaded.network.prefill_in_chunks(inputs, cache, chunk, &mut || !cancel.is_cancelled())?;
        logits.ok_or(Error::Cancelled)
    }
}

/// Concatenates the features of several images and videos; none if there are none.
pub(crate) fn joined(media: &[MediaFeatures]) -> Option<Tensor<2>> {
    (!media.is_empty()).then(|| Tensor::cat(media.iter().map(|media| media.features.clone()).collect(), 0))
}
