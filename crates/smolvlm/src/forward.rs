//! One pass of the model over padded conversations, with its inner stages.

use crate::{Error, SmolVlm};
use smolvlm_model::HostTensor;
use smolvlm_processor::Conversation;

/// What a forward pass is to keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardRequest {
    /// Logits of every position instead of the last one only.
    pub all_logits: bool,
    /// The outputs of every vision and text layer.
    pub stages: bool,
}

/// What a forward pass saw.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Forward {
    /// `[rows, positions, vocabulary]`; one position unless all were asked for.
    pub logits: HostTensor,
    /// Connector output of all tiles, `[tiles * tokens a tile, hidden]`; none without images.
    pub image_features: Option<HostTensor>,
    /// With stages: patch embeddings, then the output of each vision layer, then the final norm's, each
    /// `[tiles, patches, hidden]`.
    pub vision_hidden_states: Vec<HostTensor>,
    /// With stages: merged embeddings, then the output of each decoder layer, the last one normalised, each
    /// `[rows, positions, hidden]`.
    pub text_hidden_states: Vec<HostTensor>,
}
