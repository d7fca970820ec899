//! A forward pass over padded rows on packed weights, with intermediate outputs.

use super::{PackedModel, PagedSequences};
use crate::sequences::{SequenceId, StepInput};
use crate::{Error, ForwardOptions, KeepLogits, ModelInputs, ModelOutput};
use burn::tensor::{Device, Tensor, TensorData};
use smolvlm_kernels::cpu::{Matrix, PAGE_TOKENS, PackedLhs, Pool};
use smolvlm_nn::tensor_of;

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
            steps.push(StepInput { sequence, tokens, features: features.clone(), logits: KeepLogits::None });
        }
        let padded = |x: &Matrix<f32>| padded(x, &inputs.padding, len);
        let mut hidden_states = Vec::new();
        let x = sequences.run(self, &steps, &mut |x| {
            if options.hidden_states {
                hidden_states.push(padded(x));
            }
        })?;
        let mut last = Matrix::new();
        last.fill(&Pool::current(), x.rows(), x.columns(), |row, out| self.text.norm().apply(x.row(row), out));
        let last_hidden_state = padded(&last);
        if options.hidden_states {
            hidden_states.push(last_hidden_state.clone());
        }
        let mut normed = PackedLhs::new(self.text.format());
        let vocabulary = self.config.text.vocab_size;
        let logits = match options.logits {
            KeepLogits::None => None,
            KeepLogits::Last => {
                let ends = rows.iter().scan(0, |end, (tokens, _)| {
                    *end += tokens.len();
                    Some(*end - 1)
                });
                let logits = self.logits(x, &ends.collect::<Vec<usize>>(), &mut normed);
                Some(tensor_of(&logits, [rows.len(), 1, vocabulary]))
            }
            KeepLogits::All => Some(padded(&self.logits(x, &(0..x.rows()).collect::<Vec<usize>>(), &mut normed))),
        };
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
