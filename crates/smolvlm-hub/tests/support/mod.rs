//! A checkpoint on a local mock of the hub, and downloads of it. Not every test uses all helpers.
#![allow(dead_code)]

pub mod server;

use server::HubServer;
use smolvlm_hub::{Event, HubError, HubOptions};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

pub const REPO: &str = "owner/name";

/// A checkpoint's repository, with files that need not be fetched.
pub fn checkpoint() -> Vec<(&'static str, Vec<u8>)> {
    let weights: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        (".gitattributes", b"*.safetensors lfs".to_vec()),
        ("README.md", b"# A model".to_vec()),
        ("chat_template.jinja", b"{{ messages }}".to_vec()),
        ("chat_templates/rag.jinja", b"{{ documents }}".to_vec()),
        ("config.json", br#"{"model_type": "smolvlm"}"#.to_vec()),
        ("generation_config.json", b"{}".to_vec()),
        ("model.safetensors", weights),
        ("onnx/model.onnx", b"onnx".to_vec()),
        ("preprocessor_config.json", br#"{"do_resize": true}"#.to_vec()),
        ("tokenizer.json", br#"{"version": "1.0"}"#.to_vec()),
        ("training_args.bin", b"pickle".to_vec()),
    ]
}

pub fn server() -> HubServer {
    HubServer::start(REPO, checkpoint())
}

/// Options for a mock hub, with short timeouts.
pub fn options(server: &HubServer, cache: &TempDir) -> HubOptions {
    let mut options = HubOptions::new(cache.path());
    options.endpoint = server.url();
    options.timeout = Duration::from_secs(5);
    options.pause = Duration::from_millis(1);
    options
}

pub fn fetch(options: &HubOptions) -> Result<PathBuf, HubError> {
    download(options, REPO, None)
}

pub fn download(options: &HubOptions, repo: &str, revision: Option<&str>) -> Result<PathBuf, HubError> {
    options.download(repo, revision, &mut |_| ControlFlow::Continue(()))
}

/// The result and the notes of a download.
pub fn fetch_with_notes(options: &HubOptions) -> (Result<PathBuf, HubError>, Vec<String>) {
    let mut notes = Vec::new();
    let result = options.download(REPO, None, &mut |event| {
        if let Event::Note(text) = event {
            notes.push(text.to_owned());
        }
        ControlFlow::Continue(())
    });
    (result, notes)
}

pub fn cache() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The files below a folder by name, following symlinks.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// The files that a download must fetch.
pub fn wanted() -> BTreeMap<String, Vec<u8>> {
    let other = [".gitattributes", "README.md", "onnx/model.onnx", "training_args.bin"];
    let files = checkpoint().into_iter().filter(|(name, _)| !other.contains(name));
    files.map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// A path in the repository's folder in the cache.
pub fn in_cache(cache: &TempDir, path: &str) -> PathBuf {
    cache.path().join("models--owner--name").join(path)
}
