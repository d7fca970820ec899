//! Packing of parameters, directly from their source.

use crate::Error;
use smolvlm_checkpoint::{EMBEDDINGS_PATH, TensorSource, Values};
use smolvlm_config::FloatType;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::PackedMatrix;
use smolvlm_nn::PackedSource;

/// Packs the matrices of a source, of which one at a time is in memory.
pub(super) struct Packing<'a, S> {
    source: &'a S,
    /// Format of the text model.
    format: PackedFormat,
}

impl<'a, S: TensorSource> Packing<'a, S> {
    pub(super) fn new(source: &'a S, format: PackedFormat) -> Self {
        Self { source, format }
    }
}

impl<S: TensorSource> PackedSource for Packing<'_, S> {
    type Error = Error;

    fn matrix(&self, path: &str, shape: &[usize], format: PackedFormat) -> Result<PackedMatrix, Error> {
        let inputs = shape[1..].iter().product();
        if let Some(rows) = self.source.quantized(path, shape, format)? {
            let matrix = PackedMatrix::from_quantized(shape[0], inputs, format, rows);
            self.source.release(path);
            return Ok(matrix);
        }
        let rows = self.source.rows(path, shape)?;
        // The table is bf16 unless all weights are f32; the packed copy is rounded to the same values.
        let rounded = path == EMBEDDINGS_PATH && self.format != PackedFormat::F32;
        let matrix = PackedMatrix::pack(shape[0], inputs, format, |row, out| -> Result<(), Error> {
            rows(row, out);
            if rounded {
                out.iter_mut().for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
            }
            Ok(())
        });
        drop(rows);
        self.source.release(path);
        matrix
    }

    fn values(&self, path: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        match self.source.tensor(path, shape, FloatType::F32)? {
            Values::F32(values) => Ok(values),
            other => Err(Error::Device(format!("{path} was read as {}", other.float_type().name()))),
        }
    }
}
