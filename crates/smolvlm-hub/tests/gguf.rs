//! Tests of downloads of GGUF files.

mod support;

use smolvlm_hub::{HubError, HubOptions};
use std::ops::ControlFlow;
use support::server::HubServer;
use support::{REPO, cache, files, options};

const FILES: [&str; 4] = ["a-F16.gguf", "a-Q8_0.gguf", "mmproj-a-F16.gguf", "mmproj-a-Q8_0.gguf"];

fn server() -> HubServer {
    let gguf = FILES.map(|name| (name, format!("GGUF {name}").into_bytes()));
    let others = [("README.md", b"# A model".to_vec()), ("config.json", b"{}".to_vec())];
    HubServer::start(REPO, gguf.into_iter().chain(others).collect())
}

fn fetch(options: &HubOptions, quantization: Option<&str>) -> Result<(String, String), HubError> {
    let found = options.download_gguf(REPO, None, quantization, &mut |_| ControlFlow::Continue(()))?;
    let name = |path: std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    Ok((name(found.text), name(found.mmproj.unwrap())))
}

#[test]
fn only_the_chosen_files_are_fetched() {
    let (server, cache) = (server(), cache());
    let options = options(&server, &cache);
    let pair = |index: usize| (FILES[index].to_owned(), FILES[index + 2].to_owned());
    assert_eq!(fetch(&options, None).unwrap(), pair(1));
    let found = options.download_gguf(REPO, None, None, &mut |_| ControlFlow::Continue(())).unwrap();
    let names: Vec<String> = files(found.text.parent().unwrap()).into_keys().collect();
    assert_eq!(names, [FILES[1], FILES[3]]);
    assert_eq!(fetch(&options, Some("f16")).unwrap(), pair(0));
    // The default is the same with both in the cache, also without a network.
    assert_eq!(fetch(&options, None).unwrap(), pair(1));
    let mut offline = options.clone();
    offline.offline = true;
    assert_eq!(fetch(&offline, Some("F16")).unwrap(), pair(0));
    assert!(fetch(&offline, Some("Q4_0")).unwrap_err().to_string().contains("*Q4_0.gguf is not in"));
}

#[test]
fn missing_types_list_those_that_exist() {
    let (server, cache) = (server(), cache());
    let error = fetch(&options(&server, &cache), Some("Q4_K_M")).unwrap_err().to_string();
    assert!(error.contains("quantization Q4_K_M at revision"), "{error}");
    assert!(error.contains("a-F16.gguf, a-Q8_0.gguf") && error.contains("owner/name:Q8_0"), "{error}");
}
