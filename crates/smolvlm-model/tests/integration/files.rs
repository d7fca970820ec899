//! Weight files: sharded, missing and damaged ones.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::*;
use burn::tensor::Device;
use smolvlm_checkpoint::{Error, Weights};
use smolvlm_config::FloatType;
use smolvlm_model::SmolVlmModel;

/// Writes the checkpoint as three shards with an index, and returns the index for modification.
fn split(folder: &Path, stored: &Checkpoint) -> BTreeMap<String, String> {
    let mut parts = vec![Checkpoint::new(); 3];
    let mut map = BTreeMap::new();
    for (index, (name, tensor)) in stored.iter().enumerate() {
        parts[index % 3].insert(name.clone(), tensor.clone());
        map.insert(name.clone(), format!("model-{:05}-of-00003.safetensors", index % 3 + 1));
    }
    for (index, part) in parts.iter().enumerate() {
        write(part, &folder.join(format!("model-{:05}-of-00003.safetensors", index + 1)));
    }
    write_index(folder, &map);
    map
}

fn write_index(folder: &Path, map: &BTreeMap<String, String>) {
    let text = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
    std::fs::write(folder.join("model.safetensors.index.json"), text).unwrap();
}

#[test]
fn sharded_checkpoint_equals_a_single_file() {
    let folder = tempfile::tempdir().unwrap();
    split(folder.path(), &checkpoint(&config(), FloatType::F32));
    let weights = Weights::open(folder.path()).unwrap();
    let (loaded, report) = SmolVlmModel::load(&config(), &weights, &Device::flex(), FloatType::F32).unwrap();
    assert_eq!(parameters(&loaded), parameters(&model(FloatType::F32)));
    assert!(report.unexpected.is_empty());
}

#[test]
fn single_file_takes_precedence_over_the_index() {
    let stored = checkpoint(&config(), FloatType::F32);
    let (folder, path) = folder(&stored);
    std::fs::write(folder.path().join("model.safetensors.index.json"), "broken").unwrap();
    assert_eq!(Weights::open(path).unwrap().names().count(), stored.len());
}

#[test]
fn inconsistent_index_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let stored = checkpoint(&config(), FloatType::F32);
    let map = split(folder.path(), &stored);

    let mut wrong = map.clone();
    *wrong.get_mut(HEAD).unwrap() = map[EMBEDDINGS].clone();
    if wrong == map {
        *wrong.get_mut(HEAD).unwrap() = "model-00003-of-00003.safetensors".to_owned();
    }
    assert_ne!(wrong, map);
    write_index(folder.path(), &wrong);
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::ShardIndex { message, .. } if message.contains(HEAD)), "{error}");

    let mut absent = map.clone();
    *absent.get_mut(HEAD).unwrap() = "model-00004-of-00003.safetensors".to_owned();
    write_index(folder.path(), &absent);
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("model-00004-of-00003.safetensors")), "{error}");

    // A file outside the folder is rejected even if it exists.
    let outside = folder.path().join("inner");
    std::fs::create_dir(&outside).unwrap();
    write_index(
        &outside,
        &map.keys().map(|name| (name.clone(), "../model-00001-of-00003.safetensors".into())).collect(),
    );
    let error = Weights::open(&outside).unwrap_err();
    assert!(matches!(error, Error::ShardIndex { .. }), "{error}");
}

#[test]
fn tensor_in_two_shards_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let stored = checkpoint(&config(), FloatType::F32);
    let map = split(folder.path(), &stored);
    let other = folder.path().join("model-00001-of-00003.safetensors");
    let mut part = read(&other);
    let name = map.iter().find(|(_, file)| file.contains("00002")).unwrap().0;
    part.insert(name.clone(), stored[name].clone());
    write(&part, &other);
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::DuplicateTensor { name: twice, .. } if twice == name), "{error}");
}

#[test]
fn missing_weights_have_specific_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NoWeights { .. }), "{error}");
    std::fs::write(folder.path().join("pytorch_model.bin"), "x").unwrap();
    assert!(Weights::open(folder.path()).unwrap_err().to_string().contains("pytorch_model.bin"));
    let error = Weights::open(folder.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    // A folder where a file should be.
    std::fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

/// Length of the header, its 8 bytes included.
fn header(bytes: &[u8]) -> usize {
    8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

fn whole_file() -> Vec<u8> {
    let (folder, _) = folder(&checkpoint(&config(), FloatType::Bf16));
    std::fs::read(folder.path().join("model.safetensors")).unwrap()
}

#[test]
fn truncated_file_is_an_error() {
    let bytes = whole_file();
    let header = header(&bytes);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let lengths = (0..=8).chain((9..header).step_by(53)).chain([header - 1, header, header + 1]);
    for length in lengths.chain((header..bytes.len()).step_by(1009)).chain([bytes.len() - 1]) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = Weights::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Safetensors { .. }), "{length} bytes: {error}");
    }
    let mut longer = bytes;
    longer.push(0);
    std::fs::write(&path, &longer).unwrap();
    assert!(Weights::open(folder.path()).is_err());
}

/// Opening and loading a damaged file gives an error or, if the damage is in the metadata or the values, a model. It
/// does not panic and does not allocate more memory than the file's size justifies.
#[test]
fn damaged_headers_never_panic() {
    let bytes = whole_file();
    let header = header(&bytes);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut numbers = Numbers(7);
    let (mut refused, mut opened) = (0, 0);
    for round in 0..400 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + numbers.below(3) {
            let at = if round % 8 == 0 { numbers.below(8) } else { numbers.below(header) };
            match numbers.below(4) {
                0 => damaged[at] = numbers.next() as u8,
                1 => damaged[at] ^= 1 << numbers.below(8),
                // Replacing digits by digits reaches deeper code than random bytes, which mostly break the JSON syntax.
                2 => {
                    let digits: Vec<usize> = (8..header).filter(|at| damaged[*at].is_ascii_digit()).collect();
                    let at = digits[numbers.below(digits.len())];
                    damaged[at] = b'0' + numbers.below(10) as u8;
                }
                _ => damaged[at] = b"{}[],:\"0-eE\\"[numbers.below(12)],
            }
        }
        std::fs::write(&path, &damaged).unwrap();
        match Weights::open(folder.path()) {
            Ok(weights) => {
                opened += 1;
                let loaded = SmolVlmModel::load(&config(), &weights, &Device::flex(), FloatType::F32);
                if let Err(error) = loaded {
                    assert!(!error.to_string().contains('\n'), "{error}");
                }
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    assert!(refused > 200 && opened > 20, "{refused} refused, {opened} opened");
}
