//! Merging of image features into token embeddings.

use crate::{Error, ModelInputs, SmolVlmModel};
use burn::tensor::{Int, Tensor, TensorData};
use smolvlm_nn::gather_rows;

impl SmolVlmModel {
    /// Embeds tokens and replaces the embeddings of image tokens by the image features, in row order (transformers
    /// 5.24.0, `SmolVLMModel.forward`). Without features, image tokens keep their own embedding, as in the reference
    /// when the model generates one.
    ///
    /// # Shapes
    ///
    /// `[rows, len, hidden]`.
    ///
    /// # Errors
    ///
    /// [`Error::ImageTokenMismatch`] when the numbers of features and image tokens differ, [`Error::TokenOutOfRange`],
    /// [`Error::Input`] for features of the wrong width.
    pub fn merge(&self, inputs: &ModelInputs) -> Result<Tensor<3>, Error> {
        self.check_ids(inputs)?;
        let (rows, len, tokens) = (inputs.padding.len(), inputs.len(), inputs.input_ids.len());
        let device = self.text.norm.weight.val().device();
        let ids = inputs.input_ids.iter().map(|&id| id as i32).collect::<Vec<i32>>();
        let embeds = self.text.embed(Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, len]), &device));
        let Some(features) = &inputs.features else { return Ok(embeds) };

        let image = self.config().image_token_id;
        let image_tokens = inputs.input_ids.iter().filter(|&&id| id == image).count();
        let [found, width] = features.dims();
        if image_tokens != found {
            return Err(Error::ImageTokenMismatch { tokens: image_tokens, features: found });
        }
        let hidden = embeds.dims()[2];
        if width != hidden {
            return Err(Error::input("features", format!("their width is {width}, that of the text model {hidden}")));
        }
        // A single gather over the concatenated embeddings and features.
        let mut next = tokens as i32 - 1;
        let source = (0..).zip(&inputs.input_ids).map(|(position, &id)| {
            if id == image {
                next += 1;
                next
            } else {
                position
            }
        });
        let source = TensorData::new(source.collect::<Vec<i32>>(), [tokens]);
        let both = Tensor::cat(vec![embeds.clone().reshape([tokens, width]), features.clone().cast(embeds.dtype())], 0);
        Ok(gather_rows(both, Tensor::<1, Int>::from_data(source, &device)).reshape([rows, len, width]))
    }

    pub(crate) fn check_ids(&self, inputs: &ModelInputs) -> Result<(), Error> {
        let (rows, len) = (inputs.padding.len(), inputs.len());
        if rows == 0 || len == 0 || inputs.input_ids.len() != rows * len {
            let message = format!("{} ids cannot be divided into {rows} rows of equal length", inputs.input_ids.len());
            return Err(Error::input("input_ids", message));
        }
        if let Some(&padding) = inputs.padding.iter().find(|&&padding| padding >= len) {
            let message = format!("{padding} padding tokens leave no token in a row of {len}");
            return Err(Error::input("padding", message));
        }
        let vocab_size = self.config().text.vocab_size;
        match inputs.input_ids.iter().position(|&id| id as usize >= vocab_size) {
            Some(at) => {
                Err(Error::TokenOutOfRange { id: inputs.input_ids[at], row: at / len, position: at % len, vocab_size })
            }
            None => Ok(()),
        }
    }
}
