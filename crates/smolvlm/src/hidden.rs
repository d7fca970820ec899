//! What the model makes of a conversation, before any token is chosen.

use crate::prefill::joined;
use crate::{Cancel, Error, SmolVlm};
use burn::tensor::Tensor;
use smolvlm_generate::SamplingParams;
use smolvlm_model::HostTensor;
use smolvlm_processor::{Batch, Conversation};

/// The last layer's output for one conversation, after the final norm: what retrieval and robotics models build on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HiddenStates {
    /// The tokens of the prompt, one a state. Those equal to the configuration's `image_token_id` stand for visual features,
    /// tile by tile in the order of the prompt.
    pub token_ids: Vec<u32>,
    /// `[tokens, hidden]`.
    pub states: HostTensor,
}

impl HiddenStates {
    /// The mean of all states: one embedding of the whole conversation, `[hidden]`.
    pub fn mean(&self) -> Vec<f32> {
        let width = self.states.shape.last().copied().unwrap_or(0).max(1);
        let mut sums = vec![0.0_f64; width];
        for state in self.states.data.chunks_exact(width) {
            sums.iter_mut().zip(state).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let count = self.token_ids.len().max(1) as f64;
        sums.into_iter().map(|sum| (sum / count) as f32).collect()
    }
}

pub(crate) fn run(owner: &SmolVlm, conversations: &[Conversation]) -> Result<Vec<HiddenStates>, Error> {
    let batch = owner.process(conversations, &SamplingParams::greedy())?;
    owner.on_threads(|| states(owner, &batch))
}

fn states(owner: &SmolVlm, batch: &Batch) -> Result<Vec<HiddenStates>, Error> {
    let features = owner.media_features(batch, &[], &Cancel::new())?;
    let inputs = owner.inputs(batch, joined(&features));
    let mut cache = owner.model.new_cache(&inputs.padding, batch.len);
    // Neither the states of the other layers nor any logits are needed.
    let output = owner.model.text.forward(owner.model.merge(&inputs)?, &mut cache, false);
    let last = output.map_err(smolvlm_model::Error::from)?.last_hidden_state;
    let mut rows = Vec::with_capacity(batch.rows);
    for row in 0..batch.rows {
        let token_ids = owner.prompt_ids(batch, row)?;
        let padding = batch.len - token_ids.len();
        let states: Tensor<2> = last.clone().narrow(0, row, 1).narrow(1, padding, token_ids.len()).flatten(0, 1);
        let states = HostTensor::read(states)?;
        rows.push(HiddenStates { token_ids, states });
    }
    Ok(rows)
}
