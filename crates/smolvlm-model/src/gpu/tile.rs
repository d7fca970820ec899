//! The recorded encoding of a single tile.

use crate::{Error, SmolVlmModel};
use burn::tensor::Tensor;
use smolvlm_kernels::gpu::recording::Recording;
use smolvlm_nn::AttentionMask;
use smolvlm_nn::gpu::tensor::{client, own_buffer};
use smolvlm_nn::gpu::{copied, copy_into, suits_recording};
use std::fmt;
use std::sync::{Arc, Mutex};

/// The recording of the last size of tiles, which clones of a model share. For a single tile, launching its kernels one
/// by one takes longer than running them; larger batches hide that.
#[derive(Clone, Default)]
pub(crate) struct SharedTileRecording(Arc<Mutex<Option<TileRecording>>>);

struct TileRecording {
    recording: Recording,
    /// Embeddings of the patches, `[1, patches, vision hidden]`.
    input: Tensor<3>,
    /// Features, `[1, tokens, text hidden]`.
    output: Tensor<3>,
}

impl fmt::Debug for SharedTileRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTileRecording")
    }
}

impl SharedTileRecording {
    /// Computes the features of one tile, `[1, tokens, text hidden]`, from the embeddings of its patches, `[1, patches,
    /// vision hidden]`.
    pub(crate) fn encode(&self, model: &SmolVlmModel, x: Tensor<3>) -> Result<Tensor<3>, Error> {
        let (vision, patches) = (&model.config().vision, x.dims()[1]);
        let suits = suits_recording(&x.device(), x.dtype(), vision.num_attention_heads, patches);
        // Another thread may be encoding a tile.
        let (true, Some(client), Ok(mut slot)) = (suits, client(&x.device()), self.0.try_lock()) else {
            return encode(model, x);
        };
        if slot.as_ref().is_some_and(|tile| !tile.recording.is_on_this_stream()) {
            return encode(model, x);
        }
        let Some(tile) = slot.as_mut().filter(|tile| tile.input.dims() == x.dims()) else {
            // The first tile of a size shows the shape of the features.
            let features = encode(model, x.clone())?;
            if let (Some(mut input), Some(mut output)) = (copied(&x), copied(&features)) {
                let written = vec![own_buffer(&mut input), own_buffer(&mut output)];
                let recording = Recording::new(&[], written).of_compiled();
                *slot = Some(TileRecording { recording, input, output });
            }
            return Ok(features);
        };
        let TileRecording { recording, input, output } = tile;
        let [values, features] = [input.dims(), output.dims()].map(|dims| dims.iter().product());
        let mut outcome = Ok(());
        recording.run(
            &client,
            |_| copy_into(values, x.clone(), input),
            || outcome = encode(model, input.clone()).map(|found| copy_into(features, found, output)),
        );
        outcome?;
        // The output is overwritten by the next tile.
        Ok(copied(output).unwrap_or_else(|| output.clone()))
    }
}

fn encode(model: &SmolVlmModel, x: Tensor<3>) -> Result<Tensor<3>, Error> {
    let seen = model.vision.forward_layers(x, &AttentionMask::None, false);
    Ok(model.connector.forward(seen.last_hidden_state)?)
}
