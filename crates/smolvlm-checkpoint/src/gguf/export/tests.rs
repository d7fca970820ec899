use smolvlm_config::{FloatType, Preset};

use super::*;
use crate::gguf::file::GgufFile;
use crate::{CheckpointTensors, GgufModel, RandomTensors, TensorSource, Weights, tensor_specs};

const TEXT: &[u8] = include_bytes!("../../../tests/data/gguf/text.gguf");
const MMPROJ: &[u8] = include_bytes!("../../../tests/data/gguf/mmproj.gguf");

fn rows(weights: &Weights, config: &ModelConfig, spec: &TensorSpec) -> Vec<f32> {
    let tensors = CheckpointTensors::new(config, weights).unwrap();
    let values = tensors.tensor(&spec.module_path, &spec.shape, FloatType::F32).unwrap();
    values.bytes().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Files that are read and written again have the same configuration, vocabulary and, in f32, weights.
#[test]
fn written_files_are_read_back() {
    let model = GgufModel::from_bytes(TEXT, Some(MMPROJ)).unwrap();
    let (config, processor, vocabulary) =
        (model.config().unwrap(), model.processor_config().unwrap(), model.vocabulary().unwrap());
    let weights = model.into_weights().unwrap();
    let source = WeightSource::Weights(&weights);
    let export =
        GgufExport { name: "tiny", config: &config, processor: &processor, vocabulary: &vocabulary, source: &source };
    let folder = tempfile::tempdir().unwrap();
    let (text, mmproj) = (folder.path().join("text.gguf"), folder.path().join("mmproj.gguf"));
    for (ggml_type, vision, error) in [
        (GgmlType::F32, GgmlType::F32, 0.0),
        (GgmlType::Bf16, GgmlType::Bf16, 0.003),
        (GgmlType::Q8_0, GgmlType::F16, 0.003),
        (GgmlType::Q4_1, GgmlType::Q8_0, 0.04),
        (GgmlType::Q4_0, GgmlType::Q8_0, 0.06),
    ] {
        export.write_text(ggml_type, &text).unwrap();
        export.write_mmproj(vision, &mmproj).unwrap();
        let again = GgufModel::open(&text, Some(&mmproj)).unwrap();
        assert_eq!(again.config().unwrap(), config);
        assert_eq!(again.processor_config().unwrap(), processor);
        assert_eq!(again.vocabulary().unwrap(), vocabulary);
        let back = again.into_weights().unwrap();
        assert_eq!(back.quantized(), ggml_type.nearest_format());
        for spec in tensor_specs(&config) {
            let (own, written) = (rows(&weights, &config, &spec), rows(&back, &config, &spec));
            let worst = own.iter().zip(&written).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= error, "{ggml_type:?} {}: {worst}", spec.name);
        }
    }
}

/// Runs `test` on an export of random weights of `config`, with the vocabulary of the files.
fn with_random_export<T>(config: &ModelConfig, test: impl FnOnce(&GgufExport<'_>) -> T) -> T {
    let model = GgufModel::from_bytes(TEXT, Some(MMPROJ)).unwrap();
    let (processor, vocabulary) = (model.processor_config().unwrap(), model.vocabulary().unwrap());
    let source = WeightSource::Random(1);
    test(&GgufExport { name: "", config, processor: &processor, vocabulary: &vocabulary, source: &source })
}

/// Query and key biases are stored in the order of the matrices' rows.
#[test]
fn attention_biases_are_permuted() {
    let mut config = GgufModel::from_bytes(TEXT, Some(MMPROJ)).unwrap().config().unwrap();
    config.text.attention_bias = true;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.gguf");
    with_random_export(&config, |export| export.write_text(GgmlType::F32, &path)).unwrap();
    let name = "model.text_model.layers.0.self_attn.q_proj.bias";
    let spec = tensor_specs(&config).into_iter().find(|spec| spec.name == name).unwrap();
    let expected = RandomTensors::new(&config, 1).tensor(&spec.module_path, &spec.shape, FloatType::F32).unwrap();
    let expected = expected.bytes().into_owned();

    let file = GgufFile::open(&path).unwrap();
    let stored = &file.bytes[file.header.tensors["blk.0.attn_q.bias"].range.clone()];
    let value = |bytes: &[u8], index: usize| bytes[4 * index..][..4].to_vec();
    assert_eq!(value(stored, 1), value(&expected, config.text.head_dim / 2));
    assert_eq!(value(stored, 2), value(&expected, 1));

    let again = GgufModel::open(&path, None::<&Path>).unwrap();
    let config = again.config().unwrap();
    assert!(config.text.attention_bias);
    let back = rows(&again.into_weights().unwrap(), &config, &spec);
    assert_eq!(back.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>(), expected);
}

#[test]
fn other_activation_functions_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut config = Preset::Tiny.model();
    config.text.hidden_act = HiddenAct::GeluTanh;
    config.vision.hidden_act = HiddenAct::Gelu;
    with_random_export(&config, |export| {
        let error = export.write_text(GgmlType::F32, &path).unwrap_err().to_string();
        assert!(error.contains("text model with the activation function gelu_pytorch_tanh"), "{error}");
        let error = export.write_mmproj(GgmlType::F32, &path).unwrap_err().to_string();
        assert!(error.contains("vision encoder with the activation function gelu; "), "{error}");
    });
    assert!(!path.exists());
}

#[test]
fn tokens_without_embeddings_are_errors() {
    let mut config = GgufModel::from_bytes(TEXT, Some(MMPROJ)).unwrap().config().unwrap();
    config.text.vocab_size = 299;
    let folder = tempfile::tempdir().unwrap();
    let write = |export: &GgufExport<'_>| export.write_text(GgmlType::F32, folder.path().join("x"));
    let error = with_random_export(&config, write).unwrap_err().to_string();
    assert!(error.contains("a tokenizer of 300 tokens with a model of 299 embeddings"), "{error}");
}

/// Matrices in bf16 are found in spite of their order and of the tensors that are always f32.
#[test]
fn bf16_files_are_bf16() {
    let config = GgufModel::from_bytes(TEXT, Some(MMPROJ)).unwrap().config().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (text, mmproj) = (folder.path().join("text.gguf"), folder.path().join("mmproj.gguf"));
    with_random_export(&config, |export| {
        export.write_text(GgmlType::Bf16, &text).unwrap();
        export.write_mmproj(GgmlType::Bf16, &mmproj).unwrap();
    });
    let read = |path: &Path| std::fs::read(path).unwrap();
    let is_bf16 =
        |mmproj: Option<Vec<u8>>| GgufModel::from_bytes(read(&text), mmproj).unwrap().into_weights().unwrap().is_bf16();
    assert!(is_bf16(None));
    // bf16 does not hold the random values of the patch embedding.
    assert!(!is_bf16(Some(read(&mmproj))));
    let mut rounded = read(&mmproj);
    let range = GgufFile::open(&mmproj).unwrap().header.tensors["v.patch_embd.weight"].range.clone();
    rounded[range].as_chunks_mut::<4>().0.iter_mut().for_each(|value| value[..2].fill(0));
    assert!(is_bf16(Some(rounded)));
}

#[test]
fn impossible_types_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let write = |export: &GgufExport<'_>| export.write_text(GgmlType::Q6K, folder.path().join("x"));
    let error = with_random_export(&Preset::Tiny.model(), write).unwrap_err().to_string();
    assert!(error.contains("cannot have the type Q6_K: choose F32, F16"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
