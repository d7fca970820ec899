//! Sources of the values of a model's parameters.

use crate::encoding::{Encoding, scale_name};
use crate::error::Error;
use crate::plan::{Plan, Source};
use crate::values::Values;
use crate::weights::Weights;
use rayon::prelude::*;
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::QuantizedRows;

/// A source of values for every parameter.
pub trait TensorSource {
    /// The values of the parameter at `path`, of type `float` and shape `shape`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownParameter`] when there is no such parameter of that shape.
    fn tensor(&self, path: &str, shape: &[usize], float: FloatType) -> Result<Values, Error>;

    /// The rows of the parameter at `path`, which has the shape `shape`.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    fn rows(&self, path: &str, shape: &[usize]) -> Result<RowSource<'_>, Error>;

    /// The matrix at `path`, which has the shape `shape`, if it is stored in a quantized format.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    fn quantized(
        &self,
        _path: &str,
        _shape: &[usize],
        _format: PackedFormat,
    ) -> Result<Option<QuantizedRows<'_>>, Error> {
        Ok(None)
    }

    /// Frees resources of the parameter at `path` when its rows are no longer needed.
    fn release(&self, _path: &str) {}
}

/// A function that fills a slice with the row of an index.
pub type RowSource<'a> = Box<dyn Fn(usize, &mut [f32]) + Sync + 'a>;

/// The tensors of a checkpoint, assigned to the parameters of a model.
#[derive(Debug)]
pub struct CheckpointTensors<'a> {
    weights: &'a Weights,
    plan: Plan,
}

impl<'a> CheckpointTensors<'a> {
    /// Assigns the tensors of a checkpoint to the parameters of a model with this configuration.
    ///
    /// # Errors
    ///
    /// [`Error::WeightMismatch`] with all missing tensors and shape mismatches, [`Error::TensorType`] for tensors of an
    /// unsupported type.
    pub fn new(config: &ModelConfig, weights: &'a Weights) -> Result<Self, Error> {
        Ok(Self { weights, plan: Plan::new(config, weights)? })
    }

    /// Whether the output projection is tied to the token embeddings.
    pub fn tied(&self) -> bool {
        self.plan.tied
    }

    /// Unused stored tensors, sorted, without rotary frequencies.
    pub fn unexpected(&self) -> &[String] {
        &self.plan.unexpected
    }

    fn source(&self, path: &str, shape: &[usize]) -> Result<&Source, Error> {
        let source = self.plan.sources.get(path).filter(|source| source.shape == shape);
        source.ok_or_else(|| Error::UnknownParameter(path.to_owned()))
    }

    /// A function that fills a slice with a row of a tensor, including the updates of adapters.
    fn row_reader(&self, source: &Source) -> impl Fn(usize, &mut [f32]) + Sync {
        let (codes, scales) = (self.weights.bytes(&source.name), self.weights.bytes(&scale_name(&source.name)));
        let deltas = self.weights.deltas(&source.name);
        move |row, out| {
            source.encoding.read_row(codes, scales, row, out);
            deltas.iter().for_each(|delta| delta.add_row(row, out));
        }
    }
}

impl TensorSource for CheckpointTensors<'_> {
    fn tensor(&self, path: &str, shape: &[usize], float: FloatType) -> Result<Values, Error> {
        let source = self.source(path, shape)?;
        let data = match source.encoding {
            Encoding::Float(stored) if self.weights.deltas(&source.name).is_empty() => {
                Values::decode(self.weights.bytes(&source.name), stored, float)
            }
            _ => {
                let row_len = shape.iter().skip(1).product::<usize>().max(1);
                let mut values = vec![0.0_f32; shape.iter().product()];
                let read_row = self.row_reader(source);
                values.par_chunks_mut(row_len).enumerate().for_each(|(row, out)| read_row(row, out));
                Values::from_fn(values.len(), float, |start, out| out.copy_from_slice(&values[start..][..out.len()]))
            }
        };
        self.release(path);
        Ok(data)
    }

    fn rows(&self, path: &str, shape: &[usize]) -> Result<RowSource<'_>, Error> {
        Ok(Box::new(self.row_reader(self.source(path, shape)?)))
    }

    fn quantized(&self, path: &str, shape: &[usize], format: PackedFormat) -> Result<Option<QuantizedRows<'_>>, Error> {
        let source = self.source(path, shape)?;
        let is_stored =
            matches!((source.encoding, format), (Encoding::Q8, PackedFormat::Q8) | (Encoding::Q4, PackedFormat::Q4));
        let name = &source.name;
        Ok((is_stored && self.weights.deltas(name).is_empty())
            .then(|| QuantizedRows { codes: self.weights.bytes(name), scales: self.weights.bytes(&scale_name(name)) }))
    }

    fn release(&self, path: &str) {
        if let Some(source) = self.plan.sources.get(path) {
            self.weights.release(&source.name);
        }
    }
}
