//! Last hidden states of conversations.

use crate::{Error, SmolVlm};
use burn::tensor::Tensor;
use smolvlm_generate::SamplingParams;
use smolvlm_model::{ForwardOptions, HostTensor, KeepLogits};
use smolvlm_processor::{Batch, Conversation};

/// The output of the last layer for one conversation, after the final norm: the input of retrieval and robotics heads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HiddenStates {
    /// The tokens of the prompt, one per state. Those equal to the configuration's `image_token_id` stand for visual
    /// features, tile by tile in prompt order.
    pub token_ids: Vec<u32>,
    /// `[tokens, hidden]`.
    pub states: HostTensor,
}

impl HiddenStates {
    /// The mean over all states, as an embedding of the whole conversation, `[hidden]`.
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

pub(crate) fn run(model: &SmolVlm, conversations: &[Conversation]) -> Result<Vec<HiddenStates>, Error> {
    let batch = model.process(conversations, &SamplingParams::greedy())?;
    model.on_threads(|| states(model, &batch))
}

fn states(model: &SmolVlm, batch: &Batch) -> Result<Vec<HiddenStates>, Error> {
    let inputs = model.inputs(batch, model.batch_features(batch)?);
    let options = ForwardOptions { logits: KeepLogits::None, hidden_states: false };
    let last = model.loaded.network.forward(&inputs, options)?.last_hidden_state;
    let mut rows = Vec::with_capacity(batch.rows);
    for row in 0..batch.rows {
        let token_ids = model.prompt_ids(batch, row)?;
        let padding = batch.len - token_ids.len();
        let states: Tensor<2> = last.clone().narrow(0, row, 1).narrow(1, padding, token_ids.len()).flatten(0, 1);
        let states = HostTensor::read(states)?;
        rows.push(HiddenStates { token_ids, states });
    }
    Ok(rows)
}
