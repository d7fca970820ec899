//! The feature cache on disk: what a later process reads are the features that it would compute.

use smolvlm::{
    Adapter, Conversation, Dtype, EngineStats, Error, FeatureCacheOptions, Message, Options, SamplingParams, SmolVlm,
    Source,
};
use smolvlm_tests::{exact, golden_root};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Two images; the model splits each into several tiles.
fn question() -> Conversation {
    let image = |name: &str| golden_root().join("media").join(name);
    Message::user().image(image("landscape.png")).image(image("square.png")).text("What is this?").into()
}

fn load(dtype: Dtype, adapters: &[&str], cache: Option<FeatureCacheOptions>) -> SmolVlm {
    let adapters = adapters.iter().map(|name| Adapter::new(golden_root().join(name))).collect();
    let options = Options { dtype, adapters, feature_cache: cache, ..exact() };
    SmolVlm::load(Source::directory(golden_root().join("gqa-256m/model")), options).unwrap()
}

fn cached(dtype: Dtype, adapters: &[&str], folder: &Path) -> SmolVlm {
    load(dtype, adapters, Some(FeatureCacheOptions::new(folder)))
}

fn answer(model: &SmolVlm) -> Vec<u32> {
    model.generate(question(), SamplingParams::greedy().max_new_tokens(10)).unwrap().token_ids
}

/// Asks a model that was just loaded; returns its answer and its work.
fn ask(model: SmolVlm) -> (Vec<u32>, EngineStats) {
    (answer(&model), model.engine_stats())
}

/// The files in a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn features_outlive_the_process_and_change_nothing() {
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Q8, Dtype::F16] {
        let folder = tempfile::tempdir().unwrap();
        let (expected, _) = ask(load(dtype, &[], None));
        let states = load(dtype, &[], None).hidden_states(&[question()]).unwrap();
        let (first, stats) = ask(cached(dtype, &[], folder.path()));
        assert_eq!((first, stats.tiles_read), (expected.clone(), 0), "{dtype}");
        assert!(stats.tiles_encoded > 2, "{dtype}: {stats:?}");
        let tiles = stats.tiles_encoded;
        assert_eq!(files(folder.path()).len() as u64, tiles, "{dtype}");
        let (second, stats) = ask(cached(dtype, &[], folder.path()));
        assert_eq!((second, stats.tiles_encoded, stats.tiles_read), (expected, 0, tiles), "{dtype}");
        assert_eq!(stats.tiles_reused, tiles, "{dtype}");
        // All bits are the same.
        let found = cached(dtype, &[], folder.path()).hidden_states(&[question()]).unwrap();
        assert_eq!(found[0].states, states[0].states, "{dtype}");
    }
}

#[test]
fn tiles_in_memory_are_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_, stats) = ask(cached(Dtype::F32, &[], folder.path()));
    let model = cached(Dtype::F32, &[], folder.path());
    for asked in 1..3 {
        answer(&model);
        let found = model.engine_stats();
        assert_eq!((found.tiles_encoded, found.tiles_read), (0, stats.tiles_encoded));
        assert_eq!(found.tiles_reused, asked * stats.tiles_encoded);
    }
}

#[test]
fn damaged_files_are_encoded_again_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (expected, _) = ask(cached(Dtype::F32, &[], folder.path()));
    let intact: Vec<Vec<u8>> = files(folder.path()).iter().map(|path| fs::read(path).unwrap()).collect();
    let damages: [fn(&mut Vec<u8>); 4] =
        [|bytes| bytes[100] ^= 1, |bytes| bytes.truncate(100), Vec::clear, |bytes| bytes.fill(0)];
    for damage in damages {
        for (path, bytes) in files(folder.path()).iter().zip(&intact).take(2) {
            let mut bytes = bytes.clone();
            damage(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
        let (found, stats) = ask(cached(Dtype::F32, &[], folder.path()));
        assert_eq!((found, stats.tiles_encoded), (expected.clone(), 2));
        assert_eq!(stats.tiles_read as usize, intact.len() - 2);
        let repaired: Vec<Vec<u8>> = files(folder.path()).iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(repaired == intact);
    }
}

#[test]
fn models_with_other_features_do_not_find_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_, stats) = ask(cached(Dtype::F32, &[], folder.path()));
    let read = |dtype, adapters: &[&str]| ask(cached(dtype, adapters, folder.path())).1.tiles_read;
    for dtype in [Dtype::Bf16, Dtype::Q8, Dtype::F16] {
        assert_eq!(read(dtype, &[]), 0, "{dtype}");
    }
    assert_eq!(read(Dtype::F32, &["adapter"]), 0);
    // This adapter changes the text model only.
    assert_eq!(read(Dtype::F32, &["adapters/table"]), stats.tiles_encoded);
    // All of them share the folder.
    assert_eq!(read(Dtype::Bf16, &[]), stats.tiles_encoded);
    assert_eq!(read(Dtype::F32, &["adapter"]), stats.tiles_encoded);
}

#[test]
fn loss_of_the_folder_does_not_fail_a_request() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&warnings);
    let cache = FeatureCacheOptions::new(&folder).on_warning(move |text| heard.lock().unwrap().push(text.to_owned()));
    let model = load(Dtype::F32, &[], Some(cache));
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file in place of the folder").unwrap();
    assert_eq!(answer(&model), ask(load(Dtype::F32, &[], None)).0);
    drop(model);
    assert_eq!(warnings.lock().unwrap().len(), 1, "{warnings:?}");
}

#[test]
fn unusable_folder_is_an_error_of_loading() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for folder in [file.clone(), file.join("below")] {
        let options = Options { feature_cache: Some(FeatureCacheOptions::new(&folder)), ..exact() };
        let Err(error) = SmolVlm::load(Source::demo(), options) else { panic!("{} was opened", folder.display()) };
        assert!(matches!(&error, Error::FeatureCache { folder: named, .. } if *named == folder), "{error}");
    }
}
