//! The complete network, on tensors and on packed weights: shapes, merging, padding, and invalid inputs.

use crate::support::*;
use burn::tensor::{DType, Device, Tensor};
use smolvlm_checkpoint::{Weights, write_random_weights};
use smolvlm_config::FloatType;
use smolvlm_model::{
    Error, ForwardOptions, HostTensor, KeepLogits, ModelInputs, Network, PackedFormat, PaddedTiles, SmolVlmModel,
    StepInput, WeightFormat,
};

const EDGE: usize = 32;
/// Number of values of a tile.
const TILE: usize = 3 * EDGE * EDGE;
/// Number of features of a tile.
const TOKENS: usize = 4;

fn pixels(tiles: usize) -> Vec<f32> {
    Numbers(99).pixels(tiles * TILE)
}

fn features(network: &Network, tiles: usize, micro_batch: usize) -> Tensor<2> {
    network.image_features(&[&pixels(tiles)], EDGE, micro_batch, false).unwrap().unwrap().features
}

/// A prompt with two images of one tile each.
fn prompt(network: &Network) -> ModelInputs {
    let ids = [&[1, 5, 17][..], &[IMAGE; TOKENS], &[8, 33], &[IMAGE; TOKENS], &[70, 4]].concat();
    ModelInputs { input_ids: ids, padding: vec![0], features: Some(features(network, 2, 1)) }
}

fn all_logits(network: &Network, inputs: &ModelInputs) -> HostTensor {
    let options = ForwardOptions { logits: KeepLogits::All, hidden_states: false };
    HostTensor::read(network.forward(inputs, options).unwrap().logits.unwrap()).unwrap()
}

#[test]
fn forward_pass_has_the_documented_shapes() {
    for network in networks() {
        let inputs = prompt(&network);
        let options = ForwardOptions { logits: KeepLogits::Last, hidden_states: true };
        let output = network.forward(&inputs, options).unwrap();
        assert_eq!(output.logits.unwrap().dims(), [1, 1, VOCAB]);
        let states: Vec<_> = output.hidden_states.iter().map(Tensor::dims).collect();
        assert_eq!(states, [[1, 15, 48]; 3]);
        assert_eq!(output.last_hidden_state.dims(), [1, 15, 48]);
        assert_eq!(all_logits(&network, &inputs).shape, [1, 15, VOCAB]);
        let options = ForwardOptions { logits: KeepLogits::None, hidden_states: false };
        assert!(network.forward(&inputs, options).unwrap().logits.is_none());
    }
}

#[test]
fn tensors_and_packed_weights_agree() {
    let [tensors, packed] = networks();
    let inputs = prompt(&tensors);
    assert_close(&all_logits(&packed, &inputs).data, &all_logits(&tensors, &inputs).data, 1e-4);
    let features = |network| HostTensor::read(features(network, 3, 2)).unwrap().data;
    assert_close(&features(&packed), &features(&tensors), 1e-4);
}

#[test]
fn sequences_in_chunks_equal_a_full_pass() {
    for network in networks() {
        let inputs = prompt(&network);
        let whole = all_logits(&network, &inputs).data;
        for chunks in [&[15][..], &[1; 15], &[4, 1, 6, 4]] {
            let mut end = 0;
            for (found, len) in chunked_logits(&network, &inputs, chunks).iter().zip(chunks) {
                end += len;
                assert_close(found, &whole[(end - 1) * VOCAB..][..VOCAB], 1e-5);
            }
        }
    }
}

#[test]
fn generated_image_tokens_keep_their_own_embedding() {
    for network in networks_with_gpu() {
        let inputs = ModelInputs::text(&[1, 5, IMAGE, 8]);
        let whole = all_logits(&network, &inputs).data;
        let last = chunked_logits(&network, &inputs, &[2, 1, 1]).pop().unwrap();
        assert_close(&last, &whole[3 * VOCAB..], 1e-5);
    }
}

/// On GPUs, the encoding of a single tile is recorded and replayed in the same memory.
#[test]
fn single_tiles_have_the_features_of_a_batch() {
    for network in networks_with_gpu() {
        let pixels = pixels(4);
        let features = |pixels: &[f32]| network.image_features(&[pixels], EDGE, 4, false).unwrap().unwrap().features;
        let values = |features: Tensor<2>| features.into_data().try_to_vec::<f32>().unwrap();
        let wanted = values(features(&pixels));
        // All are read at the end: a tile does not change the features of the one before.
        let found: Vec<Tensor<2>> = pixels.chunks(TILE).map(features).collect();
        assert_close(&found.into_iter().flat_map(values).collect::<Vec<_>>(), &wanted, 1e-5);
    }
}

#[test]
fn rows_of_a_padded_batch_are_independent() {
    for network in networks() {
        let alone = [prompt(&network), ModelInputs::text(&[1, 44, 7])];
        let mut padded = vec![0; 12];
        padded.extend(&alone[1].input_ids);
        let both = ModelInputs {
            input_ids: [alone[0].input_ids.clone(), padded].concat(),
            padding: vec![0, 12],
            features: alone[0].features.clone(),
        };
        let found = all_logits(&network, &both).data;
        assert_close(&found[..15 * VOCAB], &all_logits(&network, &alone[0]).data, 1e-5);
        assert_close(&found[27 * VOCAB..], &all_logits(&network, &alone[1]).data, 1e-5);
    }
}

#[test]
fn features_do_not_depend_on_the_micro_batch() {
    for model in networks() {
        let whole = HostTensor::read(features(&model, 5, 5)).unwrap();
        assert_eq!(whole.shape, [5 * TOKENS, 48]);
        for micro_batch in [0, 1, 2, 64] {
            assert_close(&HostTensor::read(features(&model, 5, micro_batch)).unwrap().data, &whole.data, 1e-5);
        }
        // They do not depend on the assignment of tiles to images either.
        let pixels = pixels(5);
        let (first, rest) = pixels.split_at(2 * TILE);
        let seen = model.image_features(&[first, &[], rest], EDGE, 2, true).unwrap().unwrap();
        assert_close(&HostTensor::read(seen.features).unwrap().data, &whole.data, 1e-5);
        let states: Vec<_> = seen.vision_hidden_states.iter().map(Tensor::dims).collect();
        assert_eq!(states, [[5, 16, 32]; 4]);
        assert!(model.image_features(&[], EDGE, 2, true).unwrap().is_none());
    }
}

#[test]
fn padding_tiles_are_dropped_at_any_position() {
    for model in networks() {
        let real = pixels(3);
        let zeros = vec![0.0; TILE];
        let padded = [&zeros, &real[..TILE], &zeros, &real[TILE..]].concat();
        let ones = vec![1; 5 * EDGE * EDGE];
        let wanted = HostTensor::read(features(&model, 3, 3)).unwrap();
        for mask in [None, Some(&ones[..])] {
            let tiles = PaddedTiles { shape: [1, 5, 3, EDGE, EDGE], pixels: &padded, mask };
            let found = model.padded_image_features(tiles, 2, false).unwrap().unwrap();
            assert_close(&HostTensor::read(found.features).unwrap().data, &wanted.data, 1e-5);
        }
        let nothing = PaddedTiles { shape: [2, 1, 3, EDGE, EDGE], pixels: &vec![0.0; 2 * TILE], mask: None };
        let found = model.padded_image_features(nothing, 2, false).unwrap().unwrap();
        assert_eq!(found.features.dims(), [TOKENS, 48]);
    }
}

/// The smallest f16 is 6e-8: a tile of smaller values is all zeros, and thus padding, for a model in f16.
#[test]
fn padding_is_detected_in_the_type_of_the_model() {
    let mut pixels = pixels(1);
    pixels.extend(vec![1e-8; TILE]);
    for (float, kept) in [(FloatType::F32, 2), (FloatType::Bf16, 2), (FloatType::F16, 1)] {
        let tiles = PaddedTiles { shape: [1, 2, 3, EDGE, EDGE], pixels: &pixels, mask: None };
        let found = network(float).padded_image_features(tiles, 2, false).unwrap().unwrap();
        assert_eq!(found.features.dims(), [kept * TOKENS, 48], "{float:?}");
    }
}

#[test]
fn unsupported_tile_sizes_are_errors() {
    for model in networks() {
        let short = vec![0.5; TILE - 1];
        assert!(matches!(model.image_features(&[&short], EDGE, 1, false), Err(Error::Input { .. })));
        assert!(matches!(model.image_features(&[&short], 0, 1, false), Err(Error::Input { .. })));
        for (shape, pixels) in [
            ([1, 1, 3, EDGE, EDGE], &short[..]),
            ([usize::MAX, 2, 3, EDGE, EDGE], &[]),
            ([1, 1, 3, usize::MAX, 2], &[]),
        ] {
            let tiles = PaddedTiles { shape, pixels, mask: None };
            assert!(matches!(model.padded_image_features(tiles, 1, false), Err(Error::Input { .. })), "{shape:?}");
        }
        let tile = pixels(1);
        let tiles = PaddedTiles { shape: [1, 1, 3, EDGE, EDGE], pixels: &tile, mask: Some(&[1]) };
        assert!(matches!(model.padded_image_features(tiles, 1, false), Err(Error::Input { .. })));
        // 24 pixels give 3 x 3 patches, which a scale of 2 does not divide.
        let error = model.image_features(&[&vec![0.5; 3 * 24 * 24]], 24, 1, false).unwrap_err();
        assert!(matches!(error, Error::Connector(_)), "{error}");
        let error = model.image_features(&[&[0.5; 3 * 4 * 4]], 4, 1, false).unwrap_err();
        assert!(matches!(error, Error::Vision(_)), "{error}");
    }
}

fn forward(network: &Network, inputs: &ModelInputs) -> Error {
    network.forward(inputs, ForwardOptions::default()).unwrap_err()
}

#[test]
fn features_replace_exactly_the_image_tokens() {
    let (model, inputs) = (model(FloatType::F32), prompt(&network(FloatType::F32)));
    let merged = HostTensor::read(model.merge(&inputs).unwrap()).unwrap().data;
    let plain = ModelInputs { features: None, ..inputs.clone() };
    let embeds = HostTensor::read(model.merge(&plain).unwrap()).unwrap().data;
    let features = HostTensor::read(inputs.features.clone().unwrap()).unwrap().data;
    let mut features = features.chunks_exact(48);
    for (index, id) in inputs.input_ids.iter().enumerate() {
        let wanted = if *id == IMAGE { features.next().unwrap() } else { &embeds[index * 48..][..48] };
        assert_eq!(&merged[index * 48..][..48], wanted, "position {index}");
    }
    assert!(features.next().is_none());
}

#[test]
fn different_numbers_of_image_tokens_and_features_are_an_error() {
    for model in networks() {
        let good = prompt(&model);
        let mut fewer = good.clone();
        fewer.input_ids[3] = 1;
        let more = ModelInputs { features: Some(features(&model, 3, 1)), ..good.clone() };
        let none = ModelInputs { input_ids: vec![1, 2], ..good.clone() };
        for (inputs, tokens, count) in [(&fewer, 7, 8), (&more, 8, 12), (&none, 0, 8)] {
            let error = forward(&model, inputs);
            assert!(
                matches!(error, Error::ImageTokenMismatch { tokens: t, features: f } if t == tokens && f == count),
                "{error}"
            );
            let text = error.to_string();
            assert!(text.contains(&format!("{tokens} image tokens")) && text.contains(&count.to_string()), "{text}");
        }
        let narrow = ModelInputs { features: Some(Tensor::zeros([8, 32], &Device::flex())), ..good };
        assert!(matches!(forward(&model, &narrow), Error::Input { .. }));
    }
}

#[test]
fn tokens_outside_the_vocabulary_are_errors() {
    for model in networks() {
        for id in [96, u32::MAX] {
            let inputs = ModelInputs { input_ids: vec![1, 2, 3, 4, 5, id], padding: vec![0, 0], features: None };
            let error = forward(&model, &inputs);
            assert!(
                matches!(error, Error::TokenOutOfRange { id: found, row: 1, position: 2, vocab_size: 96 } if found == id),
                "{error}"
            );
            let mut sequences = model.new_sequences(4);
            let sequence = sequences.add();
            let step = model.step(&mut sequences, &[StepInput::text(sequence, &[id])]);
            assert!(matches!(step, Err(Error::TokenOutOfRange { .. })));
            assert_eq!(sequences.len(sequence), 0);
        }
    }
}

#[test]
fn inputs_of_wrong_sizes_are_errors() {
    for network in networks() {
        for (ids, padding) in [(vec![], vec![0]), (vec![1, 2, 3], vec![0, 0]), (vec![1, 2], vec![2]), (vec![1], vec![])]
        {
            let inputs = ModelInputs { input_ids: ids, padding, features: None };
            assert!(matches!(forward(&network, &inputs), Error::Input { .. }), "{inputs:?}");
        }
        let mut sequences = network.new_sequences(4);
        let sequence = sequences.add();
        let step = network.step(&mut sequences, &[StepInput::text(sequence, &[])]);
        assert!(matches!(step, Err(Error::Input { what: "tokens", .. })));
    }
}

/// Masks and positions use the padding that the cache was created with, so the inputs must have the same padding.
#[test]
fn padding_other_than_that_of_the_cache_is_an_error() {
    let model = model(FloatType::F32);
    let inputs = ModelInputs { input_ids: vec![0, 1, 2, 3, 4, 5], padding: vec![1, 0], features: None };
    let mut cache = model.new_cache(&[0, 0], 8);
    let error = model.forward(&inputs, &mut cache, ForwardOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Input { what: "padding", .. }), "{error}");
}

#[test]
fn tied_model_projects_with_the_embeddings() {
    let model = SmolVlmModel::random(&tied(), SEED, &Device::flex(), FloatType::F32).unwrap();
    assert!(model.lm_head.is_none());
    let inputs = ModelInputs::text(&[1, 2, 3]);
    let output = model.forward(&inputs, &mut model.new_cache(&[0], 3), ForwardOptions::default()).unwrap();
    let hidden = HostTensor::read(output.last_hidden_state).unwrap().data[2 * 48..].to_vec();
    let table = HostTensor::read(model.text.embed_tokens.weight.val()).unwrap().data;
    let dot = |row: &[f32]| row.iter().zip(&hidden).map(|(a, b)| a * b).sum::<f32>();
    let wanted: Vec<f32> = table.chunks_exact(48).map(dot).collect();
    assert_close(&HostTensor::read(output.logits.unwrap()).unwrap().data, &wanted, 1e-4);
}

#[test]
fn half_precision_is_close_to_f32() {
    let exact = network(FloatType::F32);
    let wanted = all_logits(&exact, &prompt(&exact)).data;
    for (float, dtype, tolerance) in [(FloatType::Bf16, DType::BF16, 0.15), (FloatType::F16, DType::F16, 0.03)] {
        let network = network(float);
        let inputs = prompt(&network);
        let output = network.forward(&inputs, ForwardOptions::default()).unwrap();
        assert_eq!(output.logits.unwrap().dtype(), dtype);
        let found = all_logits(&network, &inputs).data;
        assert_close(&found, &wanted, tolerance);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let cosine = dot(&found, &wanted) / (dot(&found, &found) * dot(&wanted, &wanted)).sqrt();
        assert!(cosine > 0.999, "{float:?}: {cosine}");
    }
}

/// bf16 weights in f32 arithmetic give the results of f32 weights.
#[test]
fn bf16_weights_change_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (float, is_bf16) in [(FloatType::Bf16, true), (FloatType::F32, false)] {
        write_random_weights(&config(), SEED, float, &path).unwrap();
        let weights = Weights::open(&path).unwrap();
        assert_eq!(weights.is_bf16(), is_bf16);
        let [wide, narrow] = [PackedFormat::F32, PackedFormat::Bf16Weights].map(|format| {
            let format = WeightFormat::Packed(format);
            let (network, _) = Network::load(&config(), &weights, &Device::flex(), format).unwrap();
            chunked_logits(&network, &prompt(&network), &[8, 1, 6])
        });
        assert_eq!(wide == narrow, is_bf16);
    }
}
