//! Prompts of a batch through the model.

use crate::features::MediaFeatures;
use crate::{Cancel, Error, SmolVlm};
use burn::tensor::Tensor;
use smolvlm_model::{KvCache, ModelInputs};
use smolvlm_processor::Batch;

/// Tokens of a prompt below which the model's time hardly falls: it has to read all its weights anyway.
const LEAST_TOKENS: usize = 32;

impl SmolVlm {
    /// Runs the prompts of a batch through the model, `chunk` tokens at a time: the cache with room for `capacity` tokens a
    /// row, and the logits of each row's next token. `features` are those of each medium.
    ///
    /// Padding is as much work as text. Where there is much of it, every row runs alone, and the rows are put side by side
    /// after that.
    pub(crate) fn prefill(
        &self,
        batch: &Batch,
        features: &[MediaFeatures],
        capacity: usize,
        chunk: usize,
        cancel: &Cancel,
    ) -> Result<(KvCache, Vec<f32>), Error> {
        let alone: usize = (0..batch.rows).map(|row| batch.prompt_len(row).max(LEAST_TOKENS)).sum();
        if batch.rows * batch.len <= alone {
            let inputs = self.inputs(batch, joined(features));
            let mut cache = self.model.new_cache(&inputs.padding, capacity);
            let logits = self.run_prompts(&inputs, &mut cache, chunk, cancel)?;
            return Ok((cache, logits));
        }
        let mut features = features;
        let (mut caches, mut logits) = (Vec::with_capacity(batch.rows), Vec::new());
        for row in 0..batch.rows {
            let (own, others) = features.split_at(batch.media[row].len());
            features = others;
            let input_ids = self.prompt_ids(batch, row)?;
            let mut cache = self.model.new_cache(&[0], input_ids.len());
            let inputs = ModelInputs { input_ids, padding: vec![0], features: joined(own) };
            logits.extend(self.run_prompts(&inputs, &mut cache, chunk, cancel)?);
            caches.push(cache);
        }
        let cache = KvCache::stack(&self.config.text, &caches, capacity).map_err(smolvlm_model::Error::from)?;
        Ok((cache.unwrap_or_else(|| self.model.new_cache(&[], capacity)), logits))
    }

    /// Runs inputs through the model behind what the cache holds.
    pub(crate) fn run_prompts(
        &self,
        inputs: &ModelInputs,
        cache: &mut KvCache,
        chunk: usize,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, Error> {
        let logits = self.model.prefill_in_chunks(inputs, cache, chunk, &mut || !cancel.is_cancelled())?;
        logits.ok_or(Error::Cancelled)
    }
}

/// The features of several media as one tensor; none of none.
pub(crate) fn joined(media: &[MediaFeatures]) -> Option<Tensor<2>> {
    (!media.is_empty()).then(|| Tensor::cat(media.iter().map(|media| media.features.clone()).collect(), 0))
}
