//! The loss of samples and its gradients, computed on one thread.

use crate::parameters::{Parameter, add_gradients, track_gradients};
use crate::{Error, Sample};
use burn::tensor::{DType, Int, Tensor, TensorData};
use smolvlm_model::{ModelInputs, SmolVlmModel};
use smolvlm_nn::{cross_entropy, gather_rows};

/// A summed loss and its gradients.
#[derive(Debug, Default)]
pub(crate) struct LossAndGradients {
    /// Sum of the losses of all target tokens, times the scale.
    pub(crate) loss: f64,
    /// Gradients of the parameters; empty for those that are not trainable.
    pub(crate) gradients: Vec<Vec<f32>>,
}

/// Sums losses, each times `scale`, and with `with_gradients` their gradients, `micro_batch` samples at a time.
pub(crate) fn evaluate(
    model: &SmolVlmModel,
    parameters: &[Parameter],
    samples: &[&Sample],
    scale: f32,
    micro_batch: usize,
    with_gradients: bool,
) -> Result<LossAndGradients, Error> {
    let mut total = LossAndGradients { loss: 0.0, gradients: vec![Vec::new(); parameters.len()] };
    let tracked = track_gradients(model, parameters, with_gradients);
    for samples in samples.chunks(micro_batch.max(1)) {
        let loss = loss(&tracked, samples, scale)?;
        total.loss += f64::from(loss.clone().inner().into_scalar::<f32>());
        if with_gradients && loss.is_tracked() {
            let mut gradients = loss.backward();
            add_gradients(&tracked, &mut gradients, &mut total.gradients);
        }
    }
    Ok(total)
}

/// The sum of the losses of all target tokens, times `scale`.
fn loss(model: &SmolVlmModel, samples: &[&Sample], scale: f32) -> Result<Tensor<1>, Error> {
    let device = model.text.norm.weight.val().device();
    let config = model.config();
    let tiles: usize = samples.iter().map(|sample| sample.tiles).sum();
    let features = match samples.iter().find(|sample| sample.tiles > 0) {
        None => None,
        Some(sample) => {
            let pixels: Vec<f32> = samples.iter().flat_map(|sample| sample.pixels.iter().copied()).collect();
            let shape = [tiles, config.vision.num_channels, sample.edge, sample.edge];
            let pixels = Tensor::<4>::from_data(TensorData::new(pixels, shape), (&device, DType::F32));
            let seen = model.vision.forward(pixels, None, false).map_err(smolvlm_model::Error::from)?;
            let out = model.connector.forward(seen.last_hidden_state).map_err(smolvlm_model::Error::from)?;
            Some(out.flatten::<2>(0, 1))
        }
    };
    // Padding is on the right: with causal attention no real token attends to it, and it is not a target.
    let len = samples.iter().map(|sample| sample.ids.len()).max().unwrap_or(0);
    let filler = (0..).find(|&id| id != config.image_token_id).unwrap_or_default();
    let (mut input_ids, mut places, mut targets) = (Vec::with_capacity(samples.len() * len), Vec::new(), Vec::new());
    for (row, sample) in samples.iter().enumerate() {
        input_ids.extend_from_slice(&sample.ids);
        input_ids.resize((row + 1) * len, filler);
        for (index, id) in sample.ids.iter().enumerate().skip(1).filter(|(index, _)| sample.loss_mask[*index]) {
            places.push((row * len + index - 1) as i32);
            targets.push(*id);
        }
    }
    let inputs = ModelInputs { input_ids, padding: vec![0; samples.len()], features };
    let hidden = model.text.forward_without_cache(&config.text, model.merge(&inputs)?);
    // Logits are computed only at positions that precede a target.
    let count = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [count]), &device);
    let hidden = gather_rows(hidden.flatten::<2>(0, 1), places);
    let logits = model.logits(hidden.unsqueeze::<3>()).flatten::<2>(0, 1);
    Ok(cross_entropy(logits, &targets, scale))
}
