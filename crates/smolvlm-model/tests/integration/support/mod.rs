//! Helpers of this crate's tests: a small configuration and generated checkpoints.

// Each test binary uses only a part of this module.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use smolvlm_checkpoint::{Weights, write_random_weights};
use smolvlm_config::{FloatType, ModelConfig};
use smolvlm_model::{
    Error, KeepLogits, LoadReport, ModelInputs, Network, PackedFormat, ParameterPath, SmolVlmModel, StepInput,
    WeightFormat,
};

pub const SEED: u64 = 42;
/// The image token of [`config`].
pub const IMAGE: u32 = 90;
/// Its vocabulary.
pub const VOCAB: usize = 96;
pub const HEAD: &str = "lm_head.weight";
pub const EMBEDDINGS: &str = "model.text_model.embed_tokens.weight";

/// A model of 31 thousand parameters with all features: grouped-query attention, two layers each in vision encoder and
/// text model, four features per tile.
pub fn config() -> ModelConfig {
    let json = r#"{
        "model_type": "smolvlm", "image_token_id": 90, "scale_factor": 2, "tie_word_embeddings": false,
        "text_config": {
            "model_type": "llama", "vocab_size": 96, "hidden_size": 48, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8,
            "rms_norm_eps": 1e-5, "max_position_embeddings": 512
        },
        "vision_config": {
            "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8
        }
    }"#;
    ModelConfig::from_json(json).unwrap()
}

pub fn tied() -> ModelConfig {
    ModelConfig { tie_word_embeddings: true, ..config() }
}

pub fn model(float: FloatType) -> SmolVlmModel {
    SmolVlmModel::random(&config(), SEED, &Device::flex(), float).unwrap()
}

pub fn network(format: impl Into<WeightFormat>) -> Network {
    Network::random(&config(), SEED, &Device::flex(), format).unwrap()
}

/// The same network in f32 on tensors and on packed weights.
pub fn networks() -> [Network; 2] {
    [network(FloatType::F32), network(WeightFormat::Packed(PackedFormat::F32))]
}

/// [`networks`], and the same network on a GPU if there is one.
pub fn networks_with_gpu() -> Vec<Network> {
    let mut networks = Vec::from(networks());
    #[cfg(feature = "wgpu")]
    if let Some(device) = Device::enumerate(burn::tensor::DeviceType::Wgpu).first() {
        networks.push(Network::random(&config(), SEED, device, FloatType::F32).unwrap());
    }
    networks
}

/// The logits after each chunk of a prompt of one row, in a new sequence.
pub fn chunked_logits(network: &Network, inputs: &ModelInputs, chunks: &[usize]) -> Vec<Vec<f32>> {
    let mut sequences = network.new_sequences(128);
    let sequence = sequences.add();
    let (mut rest, mut seen) = (&inputs.input_ids[..], 0);
    let step = |&len: &usize| {
        let (tokens, after) = rest.split_at(len);
        rest = after;
        let images = tokens.iter().filter(|&&id| id == IMAGE).count();
        let features = inputs.features.as_ref().filter(|_| images > 0);
        let features = features.map(|features| features.clone().narrow(0, seen, images));
        seen += images;
        let input = StepInput { sequence, tokens, features, logits: KeepLogits::Last, generated: false };
        network.step(&mut sequences, &[input]).unwrap()
    };
    chunks.iter().map(step).collect()
}

pub fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(found.len(), wanted.len());
    let worst = found.iter().zip(wanted).fold(0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(worst <= tolerance, "off by {worst}");
}

/// A stored tensor: type, shape, bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

pub type Checkpoint = BTreeMap<String, Stored>;

/// The tensors that [`write_random_weights`] writes, for modification by a test.
pub fn checkpoint(config: &ModelConfig, float: FloatType) -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_random_weights(config, SEED, float, &path).unwrap();
    read(&path)
}

pub fn read(path: &Path) -> Checkpoint {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let stored = |view: TensorView<'_>| Stored {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    file.tensors().into_iter().map(|(name, view)| (name, stored(view))).collect()
}

pub fn write(tensors: &Checkpoint, path: &Path) {
    let views = tensors
        .iter()
        .map(|(name, tensor)| (name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Creates a folder with the tensors as `model.safetensors`.
pub fn folder(tensors: &Checkpoint) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    write(tensors, &folder.path().join("model.safetensors"));
    let path = folder.path().to_owned();
    (folder, path)
}

pub fn load(config: &ModelConfig, tensors: &Checkpoint) -> Result<(SmolVlmModel, LoadReport), Error> {
    let (_folder, path) = folder(tensors);
    SmolVlmModel::load(config, &Weights::open(path)?, &Device::flex(), FloatType::F32)
}

/// All parameters of a module, by path.
pub fn parameters(model: &SmolVlmModel) -> BTreeMap<String, TensorData> {
    let mut collector = Collector::default();
    model.visit(&mut collector);
    collector.found
}

#[derive(Default)]
struct Collector {
    path: ParameterPath,
    found: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        assert!(self.found.insert(self.path.to_string(), param.val().to_data()).is_none());
    }
}

/// A deterministic pseudorandom number generator (xorshift, Marsaglia 2003).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Pixels between -1 and 1.
    pub fn pixels(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.next() % 2001) as f32 / 1000.0 - 1.0).collect()
    }
}
