//! Preprocessing of prompts: truncation, limits, and the inputs of the network.

use crate::features::Recalled;
use crate::submit::Prompts;
use crate::{Error, Prompt, SmolVlm, Truncation};
use burn::tensor::Tensor;
use smolvlm_generate::SamplingParams;
use smolvlm_model::{ImageFeatures, ModelInputs};
use smolvlm_processor::{Batch, Conversation, Media, PrepareOptions, RenderOptions};

impl SmolVlm {
    /// Preprocesses a prompt.
    pub(crate) fn process_prompt(&self, prompt: &Prompt, params: &SamplingParams) -> Result<Prompts, Error> {
        let batch = match prompt {
            Prompt::Conversation(conversation, options) => {
                return self.process_recalled(std::slice::from_ref(conversation), params, options);
            }
            Prompt::Text(text) => self.loaded.threads.prepare(|| self.loaded.processor.process_text(text))?,
            Prompt::Tokens(ids) => self.loaded.processor.process_tokens(ids),
        }?;
        self.admit(&[batch.len], params)?;
        Ok(batch.into())
    }

    /// Preprocesses conversations, except for images that were encoded before.
    pub(crate) fn process_recalled(
        &self,
        conversations: &[Conversation],
        params: &SamplingParams,
        options: &RenderOptions,
    ) -> Result<Prompts, Error> {
        let (conversations, recalled): (Vec<Conversation>, Vec<Recalled>) =
            conversations.iter().map(|conversation| self.recall(conversation.clone())).unzip();
        let mut prompts = Prompts::from(self.process_with(&conversations, params, options)?);
        for ((conversation, recalled), media) in conversations.iter().zip(recalled).zip(&prompts.batch.media) {
            let (known, sources) = recalled.of_prompt(conversation, media);
            prompts.known.extend(known);
            prompts.sources.extend(sources);
        }
        Ok(prompts)
    }

    /// Preprocesses conversations, after applying the truncation policy. Prompts that are too long and requests that
    /// need too much memory are rejected before any pixel is decoded.
    pub(crate) fn process(&self, conversations: &[Conversation], params: &SamplingParams) -> Result<Batch, Error> {
        self.process_with(conversations, params, &RenderOptions::answer())
    }

    /// [`process`](Self::process) with other options for rendering the chat template.
    pub(crate) fn process_with(
        &self,
        conversations: &[Conversation],
        params: &SamplingParams,
        options: &RenderOptions,
    ) -> Result<Batch, Error> {
        self.loaded.threads.prepare(|| self.process_here(conversations, params, options))?
    }

    fn process_here(
        &self,
        conversations: &[Conversation],
        params: &SamplingParams,
        options: &RenderOptions,
    ) -> Result<Batch, Error> {
        let mut options = PrepareOptions::new(options.clone()).cancel(self.cancel.clone());
        if self.loaded.truncation == Truncation::DropOldest {
            let context = self.loaded.config.text.max_position_embeddings;
            options = options.max_tokens(prompt_limit(context, params.limit(0).unwrap_or(1)));
        }
        let prepared = self.loaded.processor.prepare_with(conversations, &options)?;
        let prompts: Vec<usize> = (0..prepared.rows()).map(|row| prepared.prompt_tokens(row)).collect();
        self.admit(&prompts, params)?;
        Ok(prepared.load()?)
    }

    /// Features of all images and videos of a batch, with the encoder's intermediate outputs if `stages`.
    pub(crate) fn staged_features(&self, batch: &Batch, stages: bool) -> Result<Option<ImageFeatures>, Error> {
        let media: Vec<&[f32]> = batch.all_media().map(Media::pixels).collect();
        if media.is_empty() {
            return Ok(None);
        }
        Ok(self.loaded.network.image_features(&media, batch.edge, self.loaded.vision_batch, stages)?)
    }

    /// Converts a batch to model inputs.
    pub(crate) fn inputs(&self, batch: &Batch, features: Option<Tensor<2>>) -> ModelInputs {
        let padding = (0..batch.rows).map(|row| batch.len - batch.prompt_len(row)).collect();
        ModelInputs { input_ids: batch.input_ids.clone(), padding, features }
    }
}

/// Maximum prompt length after truncation: reserves room for the answer, at most a quarter of the context.
pub(crate) fn prompt_limit(context: usize, new_tokens: usize) -> usize {
    context - new_tokens.min(context / 4)
}
