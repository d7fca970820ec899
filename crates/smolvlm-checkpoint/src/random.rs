//! Deterministic random weights, the same for the same seed in memory and on disk.
//!
//! They are for tests and benchmarks: the model has its full compute cost and its output is meaningless.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, View};
use smolvlm_config::{FloatType, ModelConfig};

use crate::error::Error;
use crate::file::write_file;
use crate::tensor_specs::{TensorKind, TensorSpec, tensor_specs};
use crate::tensors::{RowSource, TensorSource};
use crate::values::{Values, stored_type};

/// Random tensors of a model, determined by a seed.
#[derive(Debug)]
pub struct RandomTensors {
    seed: u64,
    specs: HashMap<String, TensorSpec>,
}

impl RandomTensors {
    /// The tensors of a model with this configuration.
    pub fn new(config: &ModelConfig, seed: u64) -> Self {
        let specs = tensor_specs(config).into_iter().map(|spec| (spec.module_path.clone(), spec)).collect();
        Self { seed, specs }
    }
}

impl TensorSource for RandomTensors {
    fn tensor(&self, path: &str, shape: &[usize], float: FloatType) -> Result<Values, Error> {
        match self.specs.get(path) {
            Some(spec) if spec.shape == shape => Ok(draw(spec, self.seed, float)),
            _ => Err(Error::UnknownParameter(path.to_owned())),
        }
    }

    fn rows(&self, path: &str, shape: &[usize]) -> Result<RowSource<'_>, Error> {
        let Values::F32(values) = self.tensor(path, shape, FloatType::F32)? else { unreachable!("f32 was requested") };
        Ok(Box::new(move |row, out| out.copy_from_slice(&values[row * out.len()..][..out.len()])))
    }
}

/// Writes a checkpoint of random weights, rounded to `float`, as one safetensors file.
///
/// The values equal those of [`RandomTensors`] with the same seed. Memory holds one
/// tensor at a time. The file appears under its name once it is complete.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be written.
pub fn write_random_weights(
    config: &ModelConfig,
    seed: u64,
    float: FloatType,
    path: impl AsRef<Path>,
) -> Result<(), Error> {
    let path = path.as_ref();
    let specs = tensor_specs(config);
    let tensors = specs.iter().map(|spec| (spec.name.as_str(), RandomTensor { spec, seed, float }));
    write_file(tensors, path, || Ok(()))
}

/// A random tensor, generated when it is written.
struct RandomTensor<'a> {
    spec: &'a TensorSpec,
    seed: u64,
    float: FloatType,
}

impl View for RandomTensor<'_> {
    fn dtype(&self) -> Dtype {
        stored_type(self.float)
    }

    fn shape(&self) -> &[usize] {
        &self.spec.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(draw(self.spec, self.seed, self.float).bytes().into_owned())
    }

    fn data_len(&self) -> usize {
        self.spec.elements() * self.float.bytes()
    }
}

/// Generates the values of one tensor.
///
/// Each value depends only on the seed, the tensor's name and its index, so the order of generation does not matter.
/// Matrices preserve the variance of their inputs; norm scales are near one.
fn draw(spec: &TensorSpec, seed: u64, float: FloatType) -> Values {
    let inputs: usize = spec.shape.iter().skip(1).product();
    let (mean, deviation) = match spec.kind {
        TensorKind::Weight => (0.0, 1.0 / (inputs.max(1) as f32).sqrt()),
        TensorKind::Bias => (0.0, 0.02),
        TensorKind::Scale => (1.0, 0.1),
        TensorKind::Embedding => (0.0, 0.5),
    };
    let stream = mix(seed ^ hash(&spec.name));
    Values::from_fn(spec.elements(), float, |start, values| {
        let mut state = stream.wrapping_add((start as u64).wrapping_mul(STEP));
        for value in values {
            state = state.wrapping_add(STEP);
            *value = mean + deviation * approximately_normal(mix(state));
        }
    })
}

/// Increment of SplitMix64: 2^64 divided by the golden ratio (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Output function of SplitMix64.
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// A number with mean zero and variance one from 64 random bits: the sum of four uniform numbers, which is
/// approximately normal but bounded by 2 sqrt(3) in magnitude.
fn approximately_normal(bits: u64) -> f32 {
    let sum = (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
    // The sum of four draws from 0..=65535 has mean 131070 and variance 4 (65536^2 - 1) / 12.
    (sum as u32 as f32 - 131_070.0) * (1.0 / 37_837.227)
}

/// FNV-1a over the bytes of a name (Fowler, Noll and Vo).
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, shape: &[usize], kind: TensorKind) -> TensorSpec {
        TensorSpec { name: name.to_owned(), module_path: name.to_owned(), shape: shape.to_vec(), kind }
    }

    fn drawn(spec: &TensorSpec, seed: u64) -> Vec<f32> {
        match draw(spec, seed, FloatType::F32) {
            Values::F32(values) => values,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_have_the_stated_mean_and_deviation() {
        for (kind, mean, deviation) in [
            (TensorKind::Weight, 0.0, 1.0 / 16.0),
            (TensorKind::Bias, 0.0, 0.02),
            (TensorKind::Scale, 1.0, 0.1),
            (TensorKind::Embedding, 0.0, 0.5),
        ] {
            let values = drawn(&spec("t", &[400, 256], kind), 1);
            let count = values.len() as f64;
            let average = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
            let variance = values.iter().map(|v| (f64::from(*v) - average).powi(2)).sum::<f64>() / count;
            assert!((average - mean).abs() < 0.01 * deviation, "{kind:?}: {average}");
            assert!((variance.sqrt() / deviation - 1.0).abs() < 0.01, "{kind:?}: {}", variance.sqrt());
        }
    }

    #[test]
    fn values_depend_on_seed_and_name() {
        let a = spec("a", &[64, 64], TensorKind::Weight);
        assert_eq!(drawn(&a, 5), drawn(&a, 5));
        assert_ne!(drawn(&a, 5), drawn(&a, 6));
        assert_ne!(drawn(&a, 5), drawn(&spec("b", &[64, 64], TensorKind::Weight), 5));
    }

    #[test]
    fn generator_is_splitmix64() {
        // First outputs for seed 0, as published with the reference implementation.
        let mut state = 0_u64;
        for expected in [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f_u64] {
            state = state.wrapping_add(STEP);
            assert_eq!(mix(state), expected);
        }
    }
}
