use smolvlm_config::{FloatType, RopeParameters, Size};
use smolvlm_kernels::PackedFormat;

use super::*;
use crate::{CheckpointTensors, GgufTokenKind, TensorSource, Values};

const MODEL: &[u8] = include_bytes!("../../../tests/data/gguf/model.safetensors");
const TEXT: &[u8] = include_bytes!("../../../tests/data/gguf/text.gguf");
const MMPROJ: &[u8] = include_bytes!("../../../tests/data/gguf/mmproj.gguf");
const OLD_MMPROJ: &[u8] = include_bytes!("../../../tests/data/gguf/old-mmproj.gguf");

fn model(mmproj: Option<&'static [u8]>) -> GgufModel {
    GgufModel::from_bytes(TEXT, mmproj).unwrap()
}

fn values(weights: &Weights, config: &ModelConfig, path: &str, shape: &[usize]) -> Vec<f32> {
    let tensors = CheckpointTensors::new(config, weights).unwrap();
    match tensors.tensor(path, shape, FloatType::F32).unwrap() {
        Values::F32(values) => values,
        other => panic!("{other:?}"),
    }
}

/// The values are those of the same model under the names of transformers, with new and old names of the file.
#[test]
fn weights_equal_those_of_the_checkpoint() {
    let expected = Weights::from_bytes(MODEL).unwrap();
    for mmproj in [MMPROJ, OLD_MMPROJ] {
        let config = model(Some(mmproj)).config().unwrap();
        let weights = model(Some(mmproj)).into_weights().unwrap();
        assert!(CheckpointTensors::new(&config, &weights).unwrap().unexpected().is_empty());
        for spec in tensor_specs(&config) {
            let own = values(&weights, &config, &spec.module_path, &spec.shape);
            assert_eq!(own, values(&expected, &config, &spec.module_path, &spec.shape), "{}", spec.name);
            // Rows give the same values as whole tensors.
            let tensors = CheckpointTensors::new(&config, &weights).unwrap();
            let (rows, width) =
                (tensors.rows(&spec.module_path, &spec.shape).unwrap(), spec.elements() / spec.shape[0]);
            let mut row = vec![0.0; width];
            rows(spec.shape[0] - 1, &mut row);
            assert_eq!(row, own[own.len() - width..], "{}", spec.name);
        }
        assert_eq!(weights.quantized(), Some(PackedFormat::Q4));
    }
}

#[test]
fn configuration_is_that_of_the_files() {
    let model = model(Some(MMPROJ));
    let config = model.config().unwrap();
    let text = &config.text;
    assert_eq!((text.vocab_size, text.hidden_size, text.intermediate_size), (300, 32, 64));
    assert_eq!((text.num_attention_heads, text.num_key_value_heads, text.head_dim), (2, 1, 16));
    assert_eq!((text.num_hidden_layers, text.max_position_embeddings, text.rms_norm_eps), (2, 256, 1e-5));
    assert_eq!(text.rope, RopeParameters::Default { theta: 100_000.0 });
    assert!(config.tie_word_embeddings && !text.attention_bias);
    let vision = &config.vision;
    assert_eq!((vision.hidden_size, vision.intermediate_size, vision.num_attention_heads), (16, 24, 2));
    assert_eq!((vision.num_hidden_layers, vision.image_size, vision.patch_size), (1, 16, 4));
    assert_eq!((vision.layer_norm_eps, config.scale_factor, config.image_token_id), (1e-6, 2, 298));
    let generation = &config.generation;
    assert_eq!((generation.eos_token_ids.as_slice(), generation.pad_token_id), ([299, 2, 0].as_slice(), Some(2)));
    let processor = model.processor_config().unwrap();
    assert_eq!((processor.image_seq_len, &processor.image.pixels.size), (4, &Size::LongestEdge(48)));
    assert_eq!(processor.video.pixels.max_image_size, 16);
    assert!(processor.chat_template.unwrap().starts_with("{% for message"));
}

#[test]
fn released_sizes_are_used_where_old_files_have_none() {
    let processor = model(Some(OLD_MMPROJ)).processor_config().unwrap();
    assert_eq!(processor.image.pixels.size, Size::LongestEdge(64));
    assert_eq!(processor.image.pixels.image_mean, [0.5; 3]);
}

#[test]
fn text_model_alone_has_zeros_for_vision() {
    let model = model(None);
    assert!(model.is_text_only());
    let config = model.config().unwrap();
    let weights = model.into_weights().unwrap();
    let shape = [32, config.vision.hidden_size];
    assert!(values(&weights, &config, "connector.proj.weight", &shape).iter().all(|value| *value == 0.0));
    assert_eq!(weights.quantized(), Some(PackedFormat::Q4));
}

#[test]
fn vocabulary_has_tokens_and_merges() {
    let vocabulary = model(None).vocabulary().unwrap();
    assert_eq!(vocabulary.tokens[1], ("<|im_start|>".to_owned(), GgufTokenKind::Control));
    assert_eq!(vocabulary.tokens[3], ("\u{100}".to_owned(), GgufTokenKind::Normal));
    assert_eq!(vocabulary.merges[0], ("h".to_owned(), "e".to_owned()));
    assert_eq!(
        (vocabulary.bos_token_id, vocabulary.eos_token_id, vocabulary.unk_token_id),
        (Some(1), Some(299), Some(0))
    );
}

#[test]
fn files_in_the_wrong_place_are_errors() {
    let message = |text, mmproj| GgufModel::from_bytes(text, mmproj).unwrap_err().to_string();
    assert!(message(MMPROJ, None::<&'static [u8]>).contains("is an mmproj file"));
    assert!(message(TEXT, Some(TEXT)).starts_with("mmproj.gguf: the key general.architecture is llama, must be clip"));
    assert!(message(b"GGUF", None).starts_with("model.gguf: the header is not complete"));
}

/// The text file with another value of a key of 32 bits.
fn with_value(key: &str, value: u32) -> GgufModel {
    let mut bytes = TEXT.to_vec();
    let at = bytes.windows(key.len()).position(|window| window == key.as_bytes()).unwrap() + key.len() + 4;
    bytes[at..][..4].copy_from_slice(&value.to_le_bytes());
    GgufModel::from_bytes(bytes, None::<&'static [u8]>).unwrap()
}

/// The text file with a key or tensor under another name of the same length.
fn renamed(from: &str, to: &str) -> Vec<u8> {
    let mut bytes = TEXT.to_vec();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..][..to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn wrong_values_are_errors_that_name_file_and_key() {
    for (key, value, says) in [
        ("llama.embedding_length", 1 << 30, "the key llama.embedding_length is 1073741824, but the embeddings have 32"),
        ("llama.block_count", 0, "llama.block_count: must be from 1"),
        ("llama.attention.head_count", 5, "llama.embedding_length: 32 is not a multiple of the 5 attention heads"),
        ("tokenizer.ggml.eos_token_id", 300, "the key tokenizer.ggml.eos_token_id is 300, but there are 300 tokens"),
        ("tokenizer.ggml.bos_token_id", 301, "the key tokenizer.ggml.bos_token_id is 301"),
        ("tokenizer.ggml.padding_token_id", 1 << 31, "the key tokenizer.ggml.padding_token_id is 2147483648"),
    ] {
        let message = with_value(key, value).config().unwrap_err().to_string();
        assert!(message.starts_with(&format!("model.gguf: {says}")), "{message}");
    }
    let message = with_value("tokenizer.ggml.unknown_token_id", 300).vocabulary().unwrap_err().to_string();
    assert!(message.contains("unknown_token_id is 300"), "{message}");
}

#[test]
fn missing_parts_are_named() {
    let open = |bytes| GgufModel::from_bytes(bytes, None::<&'static [u8]>);
    let message = open(renamed("tokenizer.ggml.tokens", "tokenizer.ggml.tokenz")).unwrap().config().unwrap_err();
    assert!(message.to_string().contains("the key tokenizer.ggml.tokens is missing"), "{message}");
    let message = open(renamed("token_embd.weight", "token_embd.height")).unwrap_err().to_string();
    assert!(message.contains("no tensor token_embd.weight: it is only a vocabulary"), "{message}");

    let model = with_value("llama.block_count", 3);
    let config = model.config().unwrap();
    let message = CheckpointTensors::new(&config, &model.into_weights().unwrap()).unwrap_err().to_string();
    assert!(message.starts_with("the weights do not fit the configuration: 9 missing: blk.2.attn_norm"), "{message}");
}

/// Without keys, the tokens at which llama.cpp stops end an answer.
#[test]
fn end_tokens_are_found_by_text() {
    let bytes = renamed("tokenizer.ggml.eos_token_id", "tokenizer.ggml.xxx_token_id");
    let model = GgufModel::from_bytes(bytes, None::<&'static [u8]>).unwrap();
    assert_eq!(model.config().unwrap().generation.eos_token_ids, [299, 2, 0]);
    assert_eq!(model.vocabulary().unwrap().eos_token_id, Some(299));
}
