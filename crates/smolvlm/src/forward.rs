//! One forward pass over padded conversations, with intermediate outputs.

use crate::{Error, SmolVlm};
use burn::tensor::Tensor;
use smolvlm_generate::SamplingParams;
use smolvlm_model::{ForwardOptions, HostTensor, KeepLogits};
use smolvlm_processor::{Batch, Conversation};

/// The outputs that a forward pass returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardRequest {
    /// Logits of all positions instead of the last one only.
    pub all_logits: bool,
    /// The outputs of every vision and text layer.
    pub stages: bool,
}

/// The outputs of a forward pass.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Forward {
    /// `[rows, positions, vocabulary]`; one position unless [`all_logits`](ForwardRequest::all_logits) is set.
    pub logits: HostTensor,
    /// Connector output of all tiles, `[tiles * tokens per tile, hidden]`; none without images and videos.
    pub image_features: Option<HostTensor>,
    /// With [`stages`](ForwardRequest::stages): patch embeddings, the output of each vision layer, then that of the
    /// final norm, each `[tiles, patches, hidden]`.
    pub vision_hidden_states: Vec<HostTensor>,
    /// With [`stages`](ForwardRequest::stages): merged embeddings, then the output of each decoder layer, the last one
    /// normalized, each `[rows, positions, hidden]`.
    pub text_hidden_states: Vec<HostTensor>,
}

pub(crate) fn run(model: &SmolVlm, conversations: &[Conversation], request: ForwardRequest) -> Result<Forward, Error> {
    let batch = model.process(conversations, &SamplingParams::greedy())?;
    model.on_threads(|| pass(model, &batch, request))
}

fn pass(model: &SmolVlm, batch: &Batch, request: ForwardRequest) -> Result<Forward, Error> {
    let images = model.staged_features(batch, request.stages)?;
    let inputs = model.inputs(batch, images.as_ref().map(|images| images.features.clone()));
    let logits = if request.all_logits { KeepLogits::All } else { KeepLogits::Last };
    let options = ForwardOptions { logits, hidden_states: request.stages };
    let output = model.loaded.network.forward(&inputs, options)?;
    let (image_features, vision_hidden_states) = match images {
        Some(images) => (Some(HostTensor::read(images.features)?), images.vision_hidden_states),
        None => (None, Vec::new()),
    };
    let read = |states: Vec<Tensor<3>>| states.into_iter().map(HostTensor::read).collect::<Result<Vec<_>, _>>();
    Ok(Forward {
        logits: output.logits.map_or(Ok(HostTensor::default()), HostTensor::read)?,
        image_features,
        vision_hidden_states: read(vision_hidden_states)?,
        text_hidden_states: read(output.hidden_states)?,
    })
}
