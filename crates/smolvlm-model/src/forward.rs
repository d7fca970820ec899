//! The forward pass, from tokens to logits.

use crate::{Error, HostTensor, ModelInputs, SmolVlmModel};
use burn::tensor::{DType, Tensor, Transaction};
use smolvlm_text::{KvCache, TextOutput};

/// Positions whose logits are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeepLogits {
    /// None.
    None,
    /// The last position of each row.
    #[default]
    Last,
    /// At most this many last positions of each row.
    Tail(usize),
    /// Every position.
    All,
}

impl KeepLogits {
    /// Number of positions of a row of `len` positions whose logits are computed.
    pub(crate) fn count(self, len: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Last => len.min(1),
            Self::Tail(count) => len.min(count),
            Self::All => len,
        }
    }
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
#[non_exhaustive]
pub struct ModelOutput {
    /// Logits, `[rows, positions, vocabulary]`, of the last positions; none if none are kept.
    pub logits: Option<Tensor<3>>,
    /// The output of the last layer after the final norm, `[rows, len, hidden]`.
    pub last_hidden_state: Tensor<3>,
    /// On request: the merged embeddings, then the output of each decoder layer, the last one after the final norm;
    /// each `[rows, len, hidden]`.
    pub hidden_states: Vec<Tensor<3>>,
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
        let TextOutput { last_hidden_state, hidden_states } = output;
        let len = last_hidden_state.dims()[1];
        let kept = options.logits.count(len);
        let logits = (kept > 0).then(|| self.logits(last_hidden_state.clone().narrow(1, len - kept, kept)));
        Ok(ModelOutput { logits, last_hidden_state, hidden_states })
    }

    /// Runs prompts through the text model and returns the logits of each row's next token, `[rows, vocabulary]`.
    ///
    /// # Errors
    ///
    /// Errors of [`forward`](Self::forward), and [`Error::Device`].
    pub fn prefill(&self, inputs: &ModelInputs, cache: &mut KvCache) -> Result<Vec<f32>, Error> {
        self.run(inputs, cache, KeepLogits::Last)
    }

    /// Runs prompts through the text model and reads back the logits that are kept.
    pub(crate) fn run(&self, inputs: &ModelInputs, cache: &mut KvCache, logits: KeepLogits) -> Result<Vec<f32>, Error> {
        let output = self.forward(inputs, cache, ForwardOptions { logits, hidden_states: false })?;
        output.logits.map_or(Ok(Vec::new()), |logits| Ok(HostTensor::read(logits)?.data))
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
        let options = ForwardOptions { logits: KeepLogits::None, hidden_states: false };
        let hidden = self.forward(&ModelInputs::next_tokens(tokens), cache, options)?.last_hidden_state;
        let (logit, token) = self.logits(hidden).max_dim_with_indices(2);
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
