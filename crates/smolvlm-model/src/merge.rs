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
        inputs.check(self.config())?;
        let (rows, len, tokens) = (inputs.padding.len(), inputs.len(), inputs.input_ids.len());
        let device = self.text.norm.weight.val().device();
        let ids = inputs.input_ids.iter().map(|&id| id as i32).collect::<Vec<i32>>();
        let embeds = self.text.embed(Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, len]), &device));
        let Some(features) = &inputs.features else { return Ok(embeds) };

        let (image, width) = (self.config().image_token_id, embeds.dims()[2]);
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
}
