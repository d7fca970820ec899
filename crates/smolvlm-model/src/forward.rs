//! The forward pass, from tokens to logits.

use crate::{Error, HostTensor, SmolVlmModel};
use burn::tensor::{DType, Tensor, Transaction};
use smolvlm_text::KvCache;

/// The prompts of a batch, left-padded to one length.
#[derive(Debug, Clone)]
pub struct ModelInputs {
    /// Token ids, `[rows, len]`.
    pub input_ids: Vec<u32>,
    /// Number of padding tokens at the start of each row; one entry per row.
    pub padding: Vec<usize>,
    /// Features of all images in row order, `[image tokens, hidden]`; see
    /// [`image_features`](SmolVlmModel::image_features).
    pub features: Option<Tensor<2>>,
}

/// Positions whose logits are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeepLogits {
    /// The last position of each row.
    #[default]
    Last,
    /// Every position.
    All,
}

/// Options of a forward pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardOptions {
    /// Positions whose logits are computed.
    pub logits: KeepLogits,
    /// Whether to return the hidden states of every layer.
    pub hidden_states: bool,
}

/// The output of a forward pass.
#[derive(Debug, Clone)]
pub struct ModelOutput {
    /// Logits, `[rows, positions, vocabulary]`, of one position or all.
    pub logits: Tensor<3>,
    /// On request: the merged embeddings, then the output of each decoder layer, the last one after the final norm;
    /// each `[rows, len, hidden]`.
    pub hidden_states: Vec<Tensor<3>>,
}

impl ModelInputs {
    /// Inputs of one row of text tokens.
    pub fn text(ids: &[u32]) -> Self {
        Self { input_ids: ids.to_vec(), padding: vec![0], features: None }
    }

    /// Inputs of one more token per row.
    fn next_tokens(tokens: &[u32]) -> Self {
        Self { input_ids: tokens.to_vec(), padding: vec![0; tokens.len()], features: None }
    }

    /// Number of tokens in each row, padding included.
    pub fn len(&self) -> usize {
        self.input_ids.len() / self.padding.len().max(1)
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }
}

impl SmolVlmModel {
    /// Runs prompts through the text model and appends their keys and values to the cache.
    ///
    /// # Errors
    ///
    /// [`Error::Text`] when the cache is too small or has a different number of rows, [`Error::Input`] when it is empty
    /// and was created with different padding, and errors of [`merge`](Self::merge). The cache is unchanged then.
    pub fn forward(
        &self,
        inputs: &ModelInputs,
        cache: &mut KvCache,
        options: ForwardOptions,
    ) -> Result<ModelOutput, Error> {
        let embeds = self.merge(inputs)?;
        check_padding(inputs, cache)?;
        let output = self.text.forward(embeds, cache, options.hidden_states)?;
        let hidden = match options.logits {
            KeepLogits::All => output.last_hidden_state,
            KeepLogits::Last => {
                let len = output.last_hidden_state.dims()[1];
                output.last_hidden_state.narrow(1, len - 1, 1)
            }
        };
        Ok(ModelOutput { logits: self.logits(hidden), hidden_states: output.hidden_states })
    }

    /// Runs prompts through the text model and returns the logits of each row's next token, `[rows, vocabulary]`.
    ///
    /// # Errors
    ///
    /// Errors of [`forward`](Self::forward), and [`Error::Device`].
    pub fn prefill(&self, inputs: &ModelInputs, cache: &mut KvCache) -> Result<Vec<f32>, Error> {
        let output = self.forward(inputs, cache, ForwardOptions::default())?;
        Ok(HostTensor::read(output.logits)?.data)
    }

    /// Runs [`prefill`](Self::prefill) with `chunk` tokens of every row at a time, which bounds the memory of
    /// activations. `keep_going` is called before each chunk; if it returns false, the result is none and the cache
    /// holds the earlier chunks.
    ///
    /// # Errors
    ///
    /// Errors of [`prefill`](Self::prefill).
    pub fn prefill_in_chunks(
        &self,
        inputs: &ModelInputs,
        cache: &mut KvCache,
        chunk: usize,
        keep_going: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<f32>>, Error> {
        let embeds = self.merge(inputs)?;
        check_padding(inputs, cache)?;
        let (len, chunk) = (inputs.len(), chunk.max(1));
        let mut start = 0;
        loop {
            if !keep_going() {
                return Ok(None);
            }
            let tokens = chunk.min(len - start);
            let hidden = self.text.forward(embeds.clone().narrow(1, start, tokens), cache, false)?.last_hidden_state;
            start += tokens;
            if start == len {
                return Ok(Some(HostTensor::read(self.logits(hidden.narrow(1, tokens - 1, 1)))?.data));
            }
        }
    }

    /// Runs one more token of every row through the text model and returns the logits of the next ones,
    /// `[rows, vocabulary]`.
    ///
    /// # Errors
    ///
    /// Errors of [`prefill`](Self::prefill).
    pub fn decode(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Vec<f32>, Error> {
        #[cfg(feature = "cubecl")]
        if let Some(gpu) = self.gpu_decoder_for(tokens) {
            gpu.step(tokens, cache)?;
            return gpu.logits(cache).map_err(|error| Error::device(&error));
        }
        self.prefill(&ModelInputs::next_tokens(tokens), cache)
    }

    /// Runs [`decode`](Self::decode) and returns only the argmax of each row's logits with its value. Only these are
    /// read back from the device, where `decode` reads the logits of the whole vocabulary. For equal logits, the
    /// backend decides. If all logits of a row are NaN, the returned logit is NaN or negative infinity.
    ///
    /// # Errors
    ///
    /// Errors of [`prefill`](Self::prefill).
    pub fn decode_argmax(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Vec<(u32, f32)>, Error> {
        #[cfg(feature = "cubecl")]
        if let Some(gpu) = self.gpu_decoder_for(tokens) {
            gpu.step(tokens, cache)?;
            return gpu.argmax(cache).map_err(|error| Error::device(&error));
        }
        let logits = self.forward(&ModelInputs::next_tokens(tokens), cache, ForwardOptions::default())?.logits;
        let (logit, token) = logits.max_dim_with_indices(2);
        let read = Transaction::default().register(logit.cast(DType::F32)).register(token).try_execute();
        let read = read.map_err(|error| Error::device(&error))?;
        let [logit, token] = &read[..] else { return Err(Error::Device("nothing was read back".to_owned())) };
        Ok(token.iter::<u32>().zip(logit.iter::<f32>()).collect())
    }

    /// The GPU decoder, if all tokens are text tokens.
    #[cfg(feature = "cubecl")]
    fn gpu_decoder_for(&self, tokens: &[u32]) -> Option<&smolvlm_text::GpuDecoder> {
        let config = self.config();
        let are_text =
            tokens.iter().all(|&token| (token as usize) < config.text.vocab_size && token != config.image_token_id);
        self.gpu_decoder().filter(|_| are_text)
    }

    /// Projects hidden states to logits.
    ///
    /// # Shapes
    ///
    /// `[rows, positions, hidden]` to `[rows, positions, vocabulary]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => self.text.embed_tokens.project(hidden),
        }
    }
}

/// Checks that an empty cache was created with the padding of these rows.
fn check_padding(inputs: &ModelInputs, cache: &KvCache) -> Result<(), Error> {
    let len = inputs.len();
    let fits = |(row, &padding): (usize, &usize)| cache.position(row, len) == len - padding;
    if cache.is_empty() && cache.rows() == inputs.padding.len() && !inputs.padding.iter().enumerate().all(fits) {
        let message = format!("the cache was created with padding other than {:?}", inputs.padding);
        return Err(Error::input("padding", message));
    }
    Ok(())
}
