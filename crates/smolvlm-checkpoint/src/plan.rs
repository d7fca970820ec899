//! The mapping from parameters to stored tensors, made before any tensor is read.

use std::collections::{HashMap, HashSet};

use smolvlm_config::{FloatType, ModelConfig};

use crate::encoding::{Encoding, scale_name};
use crate::error::{Error, ShapeMismatch, WeightMismatch};
use crate::tensor_specs::{LM_HEAD, TOKEN_EMBEDDINGS, TensorSpec, is_rotary_buffer, lm_head_spec, tensor_specs};
use crate::values::{CHUNK, widen};
use crate::weights::Weights;

/// The stored tensor of a parameter.
#[derive(Debug)]
pub(crate) struct Source {
    /// Name in the file.
    pub(crate) name: String,
    /// Encoding of its values.
    pub(crate) encoding: Encoding,
    /// Shape of the parameter.
    pub(crate) shape: Vec<usize>,
}

/// The sources of all parameters of a model.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Sources by parameter path.
    pub(crate) sources: HashMap<String, Source>,
    /// Whether the output projection is tied to the token embeddings.
    pub(crate) tied: bool,
    /// Stored tensors that no parameter uses.
    pub(crate) unexpected: Vec<String>,
}

impl Plan {
    /// Finds the source of every parameter.
    ///
    /// # Errors
    ///
    /// [`Error::WeightMismatch`] with all missing tensors and shape mismatches, [`Error::TensorType`] when a needed
    /// tensor is stored in an unsupported type.
    pub(crate) fn new(config: &ModelConfig, weights: &Weights) -> Result<Self, Error> {
        let mut specs = tensor_specs(config);
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut tied = config.tie_word_embeddings;
        if tied {
            match (weights.tensor(TOKEN_EMBEDDINGS).is_some(), weights.tensor(LM_HEAD).is_some()) {
                // Either matrix alone serves as both.
                (false, true) => {
                    names.insert(TOKEN_EMBEDDINGS, LM_HEAD);
                }
                // Two different matrices are not tied, even if the configuration says so.
                (true, true) if !equal_tensors(weights, TOKEN_EMBEDDINGS, LM_HEAD) => {
                    tied = false;
                    specs.push(lm_head_spec(config));
                }
                _ => {}
            }
        }
        let mut mismatch = WeightMismatch::default();
        let mut sources = HashMap::with_capacity(specs.len());
        let mut wrong_type = None;
        for TensorSpec { name, module_path, shape, .. } in specs {
            let stored_name = names.get(name.as_str()).copied().unwrap_or(&name);
            let Some(stored) = weights.tensor(stored_name) else {
                mismatch.untied_head_missing |= name == LM_HEAD;
                mismatch.missing.push(name);
                continue;
            };
            if let Some(encoding) = Encoding::of(weights, stored_name, &shape) {
                sources.insert(module_path, Source { name: stored_name.to_owned(), encoding, shape });
                continue;
            }
            if Encoding::is_outdated(weights, stored_name) {
                return Err(Error::OutdatedQuantization { name: stored_name.to_owned() });
            }
            if stored.shape != shape {
                mismatch.shape_mismatches.push(ShapeMismatch {
                    name: stored_name.to_owned(),
                    expected: shape,
                    found: stored.shape.clone(),
                });
                continue;
            }
            wrong_type = Some((weights.stored_name(stored_name), stored.dtype));
        }
        let mut used: HashSet<&str> = sources.values().map(|source| source.name.as_str()).collect();
        let quantized = sources.values().filter(|source| !matches!(source.encoding, Encoding::Float(_)));
        let scales: Vec<String> = quantized.map(|source| scale_name(&source.name)).collect();
        used.extend(scales.iter().map(String::as_str));
        used.extend(mismatch.shape_mismatches.iter().map(|tensor| tensor.name.as_str()));
        if tied {
            used.extend([LM_HEAD, TOKEN_EMBEDDINGS]);
        }
        let unexpected = weights.names().filter(|name| !used.contains(name) && !is_rotary_buffer(name));
        let unexpected: Vec<String> = unexpected.map(|name| weights.stored_name(name)).collect();
        if !mismatch.missing.is_empty() || !mismatch.shape_mismatches.is_empty() {
            mismatch.unexpected = unexpected;
            let mismatched = mismatch.shape_mismatches.iter_mut().map(|tensor| &mut tensor.name);
            mismatch.missing.iter_mut().chain(mismatched).for_each(|name| *name = weights.stored_name(name));
            return Err(Error::WeightMismatch(Box::new(mismatch)));
        }
        if let Some((name, dtype)) = wrong_type {
            return Err(Error::TensorType { name, dtype: dtype.to_string() });
        }
        Ok(Self { sources, tied, unexpected })
    }
}

/// Whether two stored tensors have equal values, even if their types differ.
fn equal_tensors(weights: &Weights, left: &str, right: &str) -> bool {
    let (Some(a), Some(b)) = (weights.tensor(left), weights.tensor(right)) else {
        return false;
    };
    let changed = !weights.deltas(left).is_empty() || !weights.deltas(right).is_empty();
    let equal = a.shape == b.shape
        && !changed
        && if a.dtype == b.dtype {
            weights.bytes(left) == weights.bytes(right)
        } else {
            match (a.float_type(), b.float_type()) {
                (Some(from_a), Some(from_b)) => {
                    equal_values((weights.bytes(left), from_a), (weights.bytes(right), from_b))
                }
                _ => false,
            }
        };
    weights.release(left);
    weights.release(right);
    equal
}

fn equal_values(left: (&[u8], FloatType), right: (&[u8], FloatType)) -> bool {
    let (mut a, mut b) = ([0.0; CHUNK], [0.0; CHUNK]);
    let chunks = |(bytes, float): (&'_ [u8], FloatType)| bytes.len().div_ceil(CHUNK * float.bytes());
    chunks(left) == chunks(right)
        && (0..chunks(left)).all(|chunk| {
            let wide = |(bytes, float): (&[u8], FloatType), values: &mut [f32; CHUNK]| {
                let bytes = &bytes[chunk * CHUNK * float.bytes()..];
                let count = (bytes.len() / float.bytes()).min(CHUNK);
                widen(bytes, float, &mut values[..count]);
                count
            };
            let (count_a, count_b) = (wide(left, &mut a), wide(right, &mut b));
            a[..count_a] == b[..count_b]
        })
}
