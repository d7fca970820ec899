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
