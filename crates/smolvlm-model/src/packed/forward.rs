//! A forward pass over padded rows on packed weights, with intermediate outputs.

use super::{PackedModel, PagedSequences};
use crate::sequences::{SequenceId, StepInput};
use crate::{Error, ForwardOptions, KeepLogits, ModelInputs, ModelOutput};
use burn::tensor::{Device, Tensor, TensorData};
use smolvlm_kernels::PAGE_TOKENS;
use smolvlm_kernels::cpu::{Matrix, PackedLhs, Pool};

impl PackedModel {
    /// Runs prompts through the text model. Padding is skipped; its outputs are zero.
    pub(crate) fn forward(&self, inputs: &ModelInputs, options: ForwardOptions) -> Result<ModelOutput, Error> {
        let rows = inputs.rows(&self.config)?;
        let len = inputs.len();
        let mut sequences = PagedSequences::new(self, rows.len() * len.next_multiple_of(PAGE_TOKENS));
        let mut steps = Vec::with_capacity(rows.len());
        for (&(tokens, ref features), row) in rows.iter().zip(0..) {
            let sequence = SequenceId(row);
            sequences.add(sequence);
            steps.push(StepInput {
                sequence,
                tokens,
                features: features.clone(),
                logits: KeepLogits::None,
                generated: false,
            });
        }
        let aligned = |x: &Matrix<f32>| padded(x, &inputs.padding, len);
        let mut hidden_states = Vec::new();
        let x = sequences.run(self, &steps, &mut |x| {
            if options.hidden_states {
                hidden_states.push(aligned(x));
            }
        })?;
        let mut last = Matrix::new();
        last.fill(&Pool::current(), x.rows(), x.columns(), |row, out| self.text.norm().apply(x.row(row), out));
        let last_hidden_state = aligned(&last);
        if options.hidden_states {
            hidden_states.push(last_hidden_state.clone());
        }
        let mut normed = PackedLhs::new(self.head.format());
        let kept = options.logits.count(len);
        let logits = (kept > 0).then(|| {
            let counts: Vec<usize> = rows.iter().map(|(tokens, _)| kept.min(tokens.len())).collect();
            let ends = rows.iter().scan(0, |end, (tokens, _)| {
                *end += tokens.len();
                Some(*end)
            });
            let positions: Vec<usize> = ends.zip(&counts).flat_map(|(end, count)| end - count..end).collect();
            let padding: Vec<usize> = counts.iter().map(|count| kept - count).collect();
            padded(&self.logits(x, &positions, &mut normed), &padding, kept)
        });
        Ok(ModelOutput { logits, last_hidden_state, hidden_states })
    }
}

/// Converts flat rows of tokens to `[rows, len, columns]`, with zeros for the padding at the start of each row.
fn padded(x: &Matrix<f32>, padding: &[usize], len: usize) -> Tensor<3> {
    let columns = x.columns();
    let mut values = Vec::with_capacity(padding.len() * len * columns);
    let mut tokens = (0..x.rows()).map(|row| x.row(row));
    for &padding in padding {
        values.resize(values.len() + padding * columns, 0.0);
        tokens.by_ref().take(len - padding).for_each(|row| values.extend_from_slice(row));
    }
    Tensor::from_data(TensorData::new(values, [padding.len(), len, columns]), &Device::flex())
}
