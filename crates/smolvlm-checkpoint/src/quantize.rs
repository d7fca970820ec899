//! Writing of quantized checkpoints.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use safetensors::tensor::{Dtype, View};
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_kernels::cpu::{prepare_weights, quantize_q4, quantize_q8};
use smolvlm_kernels::{PackedFormat, Q4_GROUP, Q8_GROUP};

use crate::Error;
use crate::encoding::scale_name;
use crate::file::write_file;
use crate::tensor_specs::{EMBEDDINGS_PATH, TensorKind, TensorSpec};
use crate::tensors::TensorSource;
use crate::weight_source::WeightSource;

/// Writes the weights as one safetensors file with quantized matrices: 8 bits in vision encoder and connector, 8 bits
/// or, for [`PackedFormat::Q4`], 4 bits in the text model; 8 bits in the output projection. Patch embedding and token
/// embeddings are bf16, the rest f32. Loading this file in the packed format gives the same model as loading the
/// original. The file appears under its name once it is complete; memory holds one tensor at a time.
///
/// # Errors
///
/// [`Error::NotQuantized`] for any other format, errors of loading, and [`Error::Io`] when the file cannot be written.
pub fn write_quantized_weights(
    config: &ModelConfig,
    source: &WeightSource<'_>,
    format: PackedFormat,
    path: impl AsRef<Path>,
) -> Result<(), Error> {
    if !matches!(format, PackedFormat::Q8 | PackedFormat::Q4) {
        return Err(Error::NotQuantized(format));
    }
    config.validate()?;
    let (specs, tensors) = source.tensors(config)?;
    write(&specs, &*tensors, format, path.as_ref())
}

fn write(
    specs: &[TensorSpec],
    source: &(dyn TensorSource + Sync),
    format: PackedFormat,
    path: &Path,
) -> Result<(), Error> {
    // Values are computed while the file is written, where the serializer takes no errors.
    let failed = Mutex::new(None);
    let entries = specs.iter().flat_map(|spec| {
        let parts = match matrix_format(spec, format) {
            Some(format) => vec![Part::Codes(format), Part::Scales(format)],
            None => vec![Part::Values(unquantized_type(spec))],
        };
        parts.into_iter().map(|part| Entry::new(spec, source, part, &failed))
    });
    // Reports the stored error, if any.
    let check = || failed.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err);
    write_file(entries.map(|entry| (entry.name(), entry)), path, check)
}

/// The format of vision encoder and connector for a format of the text model: 8 bits with 4-bit text weights.
pub fn vision_format(text: PackedFormat) -> PackedFormat {
    at_least_8_bits(text)
}

/// The format of the output projection for a format of the text model: 8 bits with 4-bit text weights, because its
/// errors are those of the logits.
pub fn head_format(text: PackedFormat) -> PackedFormat {
    at_least_8_bits(text)
}

fn at_least_8_bits(format: PackedFormat) -> PackedFormat {
    if format == PackedFormat::Q4 { PackedFormat::Q8 } else { format }
}

/// The format of a quantized matrix; none for tensors that are not quantized.
fn matrix_format(spec: &TensorSpec, format: PackedFormat) -> Option<PackedFormat> {
    let is_matrix = spec.kind == TensorKind::Weight && spec.shape.len() == 2;
    is_matrix.then(|| match &spec.module_path {
        path if path.starts_with("text.") => format,
        path if path.starts_with("lm_head.") => head_format(format),
        _ => vision_format(format),
    })
}

/// The type of a tensor that is not quantized, the same as in packed models.
fn unquantized_type(spec: &TensorSpec) -> FloatType {
    if spec.kind == TensorKind::Weight || spec.module_path == EMBEDDINGS_PATH {
        FloatType::Bf16
    } else {
        FloatType::F32
    }
}

/// The part of a parameter that a tensor of the file holds.
#[derive(Clone, Copy)]
enum Part {
    Values(FloatType),
    Codes(PackedFormat),
    Scales(PackedFormat),
}

/// A tensor of the file, computed when it is written.
struct Entry<'a> {
    spec: &'a TensorSpec,
    source: &'a (dyn TensorSource + Sync),
    part: Part,
    shape: Vec<usize>,
    failed: &'a Mutex<Option<Error>>,
}

impl<'a> Entry<'a> {
    fn new(
        spec: &'a TensorSpec,
        source: &'a (dyn TensorSource + Sync),
        part: Part,
        failed: &'a Mutex<Option<Error>>,
    ) -> Self {
        let groups = |group: usize| spec.shape.last().map_or(0, |inputs| inputs.div_ceil(group));
        let shape = match part {
            Part::Values(_) => spec.shape.clone(),
            Part::Codes(PackedFormat::Q8) => vec![spec.shape[0], groups(Q8_GROUP) * Q8_GROUP],
            Part::Codes(_) => vec![spec.shape[0], groups(Q4_GROUP) * Q4_GROUP / 2],
            Part::Scales(PackedFormat::Q8) => vec![spec.shape[0], groups(Q8_GROUP)],
            Part::Scales(_) => vec![spec.shape[0], groups(Q4_GROUP), 2],
        };
        Self { spec, source, part, shape, failed }
    }

    fn name(&self) -> String {
        match self.part {
            Part::Scales(_) => scale_name(&self.spec.name),
            Part::Values(_) | Part::Codes(_) => self.spec.name.clone(),
        }
    }

    fn encode(&self) -> Result<Vec<u8>, Error> {
        let (path, shape) = (&self.spec.module_path, &self.spec.shape);
        let (codes, format) = match self.part {
            Part::Values(float) => return Ok(self.source.tensor(path, shape, float)?.bytes().into_owned()),
            Part::Codes(format) => (true, format),
            Part::Scales(format) => (false, format),
        };
        let rows = self.source.rows(path, shape)?;
        let row = |index: usize| {
            // Padded: `prepare_weights` transforms whole groups.
            let mut values = vec![0.0; shape[1].next_multiple_of(format.group().unwrap_or(1))];
            rows(index, &mut values[..shape[1]]);
            prepare_weights(format, &mut values, shape[1]);
            match format {
                PackedFormat::Q8 => encode_q8(&values, codes),
                _ => encode_q4(&values, codes),
            }
        };
        Ok((0..shape[0]).into_par_iter().flat_map_iter(row).collect())
    }
}

/// Encodes a row of whole groups in 8 bits: its codes, or its scales.
fn encode_q8(values: &[f32], codes: bool) -> Vec<u8> {
    let groups = values.as_chunks::<Q8_GROUP>().0.iter().map(quantize_q8);
    if codes {
        groups.flat_map(|(_, codes)| codes.map(|code| code as u8)).collect()
    } else {
        groups.flat_map(|(scale, _)| scale.to_le_bytes()).collect()
    }
}

/// Encodes a row of whole groups in 4 bits: its codes, or its scales and minima.
fn encode_q4(values: &[f32], codes: bool) -> Vec<u8> {
    let groups = values.as_chunks::<Q4_GROUP>().0.iter().map(quantize_q4);
    if codes {
        groups.flat_map(|(_, codes)| codes).collect()
    } else {
        groups.flat_map(|(scales, _)| scales.map(u16::to_le_bytes).concat()).collect()
    }
}

impl View for Entry<'_> {
    fn dtype(&self) -> Dtype {
        match self.part {
            Part::Values(FloatType::F32) => Dtype::F32,
            Part::Values(_) | Part::Scales(_) => Dtype::BF16,
            Part::Codes(PackedFormat::Q8) => Dtype::I8,
            Part::Codes(_) => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.encode().unwrap_or_else(|error| {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            vec![0; self.data_len()]
        }))
    }

    fn data_len(&self) -> usize {
        let size = match self.dtype() {
            Dtype::F32 => 4,
            Dtype::BF16 => 2,
            _ => 1,
        };
        self.shape.iter().product::<usize>() * size
    }
}

#[cfg(test)]
mod tests;
