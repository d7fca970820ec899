//! The division of a step on tensors into sequences that are decoded together and prompts that run alone.

use super::{SequenceId, StepInput};
use crate::{Error, KeepLogits};

/// The inputs of one text token each that continue a sequence, given the lengths of the sequences.
pub(super) fn decoded_inputs(inputs: &[StepInput<'_>], len: impl Fn(SequenceId) -> usize) -> Vec<(SequenceId, u32)> {
    let continues =
        |input: &&StepInput<'_>| input.tokens.len() == 1 && input.features.is_none() && len(input.sequence) > 0;
    inputs.iter().filter(continues).map(|input| (input.sequence, input.tokens[0])).collect()
}

/// Runs the other inputs with `prefill`. Returns the logits that all inputs request, in their order; `decoded` are those
/// of the [`decoded_inputs`], `[rows, vocabulary]`.
pub(super) fn with_prompts(
    inputs: &[StepInput<'_>],
    next: &[(SequenceId, u32)],
    decoded: &[f32],
    vocabulary: usize,
    mut prefill: impl FnMut(&StepInput<'_>) -> Result<Vec<f32>, Error>,
) -> Result<Vec<f32>, Error> {
    let mut decoded = decoded.chunks_exact(vocabulary);
    let mut decoding = next.iter().map(|(id, _)| *id).peekable();
    let mut logits = Vec::new();
    for input in inputs {
        if decoding.next_if_eq(&input.sequence).is_some() {
            let row = decoded.next().unwrap_or_default();
            if input.logits != KeepLogits::None {
                logits.extend_from_slice(row);
            }
        } else {
            logits.extend(prefill(input)?);
        }
    }
    Ok(logits)
}
