//! Inputs of the text model.

use crate::Error;
use burn::tensor::Tensor;
use smolvlm_config::ModelConfig;

/// The prompts of a batch, left-padded to one length.
#[derive(Debug, Clone)]
pub struct ModelInputs {
    /// Token ids, `[rows, len]`.
    pub input_ids: Vec<u32>,
    /// Number of padding tokens at the start of each row; one entry per row.
    pub padding: Vec<usize>,
    /// Features of all images in row order, `[image tokens, hidden]`; see
    /// [`image_features`](crate::Network::image_features).
    pub features: Option<Tensor<2>>,
}

/// Tokens of a row, and the features of its image tokens.
#[cfg(feature = "flex")]
pub(crate) type Row<'a> = (&'a [u32], Option<Tensor<2>>);

impl ModelInputs {
    /// Inputs of one row of text tokens.
    pub fn text(ids: &[u32]) -> Self {
        Self { input_ids: ids.to_vec(), padding: vec![0], features: None }
    }

    /// Inputs of one more token per row.
    pub(crate) fn next_tokens(tokens: &[u32]) -> Self {
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

    /// Checks sizes and token ids.
    pub(crate) fn check(&self, config: &ModelConfig) -> Result<(), Error> {
        let (rows, len) = (self.padding.len(), self.len());
        if rows == 0 || len == 0 || self.input_ids.len() != rows * len {
            let message = format!("{} ids cannot be divided into {rows} rows of equal length", self.input_ids.len());
            return Err(Error::input("input_ids", message));
        }
        if let Some(&padding) = self.padding.iter().find(|&&padding| padding >= len) {
            let message = format!("{padding} padding tokens leave no token in a row of {len}");
            return Err(Error::input("padding", message));
        }
        self.input_ids.chunks_exact(len).enumerate().try_for_each(|(row, ids)| check_ids(ids, row, config))?;
        check_features(&self.input_ids, self.features.as_ref(), config)
    }

    /// The tokens of each row without padding, and the features of their image tokens.
    #[cfg(feature = "flex")]
    pub(crate) fn rows(&self, config: &ModelConfig) -> Result<Vec<Row<'_>>, Error> {
        self.check(config)?;
        let mut first = 0;
        let rows = self.input_ids.chunks_exact(self.len()).zip(&self.padding);
        Ok(rows
            .map(|(ids, &padding)| {
                let tokens = &ids[padding..];
                let count = image_tokens(tokens, config);
                let own = self.features.as_ref().filter(|_| count > 0);
                let features = own.map(|features| features.clone().narrow(0, first, count));
                first += count;
                (tokens, features)
            })
            .collect())
    }
}

/// Number of image tokens among tokens.
pub(crate) fn image_tokens(tokens: &[u32], config: &ModelConfig) -> usize {
    tokens.iter().filter(|&&id| id == config.image_token_id).count()
}

/// Checks that the ids of a row are in the vocabulary.
pub(crate) fn check_ids(ids: &[u32], row: usize, config: &ModelConfig) -> Result<(), Error> {
    let vocab_size = config.text.vocab_size;
    match ids.iter().position(|&id| id as usize >= vocab_size) {
        Some(position) => Err(Error::TokenOutOfRange { id: ids[position], row, position, vocab_size }),
        None => Ok(()),
    }
}

/// Checks that there is a feature of the text model's width per image token.
pub(crate) fn check_features(tokens: &[u32], features: Option<&Tensor<2>>, config: &ModelConfig) -> Result<(), Error> {
    let Some(features) = features else { return Ok(()) };
    let ([found, width], hidden) = (features.dims(), config.text.hidden_size);
    let tokens = image_tokens(tokens, config);
    if tokens != found {
        return Err(Error::ImageTokenMismatch { tokens, features: found });
    }
    if width != hidden {
        return Err(Error::input("features", format!("their width is {width}, that of the text model {hidden}")));
    }
    Ok(())
}
