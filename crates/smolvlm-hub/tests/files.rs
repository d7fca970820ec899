//! Tests of the files that a download fetches, and of the folder that it makes.

mod support;

use smolvlm_hub::{Event, HubError};
use std::fs;
use std::ops::ControlFlow;
use support::server::object::sha256;
use support::server::{COMMIT, HubServer, OTHER_COMMIT};
use support::{REPO, cache, checkpoint, download, fetch, files, in_cache, options, server, wanted};

#[test]
fn only_the_files_of_a_checkpoint_are_fetched() {
    let (server, cache) = (server(), cache());
    let mut events: Vec<(String, u64, u64)> = Vec::new();
    let folder = options(&server, &cache)
        .download(REPO, None, &mut |event| {
            if let Event::Progress { file, done, total } = event {
                events.push((file.to_owned(), done, total));
            }
            ControlFlow::Continue(())
        })
        .unwrap();

    assert_eq!(files(&folder), wanted());
    assert_eq!(folder, in_cache(&cache, &format!("snapshots/{COMMIT}")));
    assert_eq!(fs::read_to_string(in_cache(&cache, "refs/main")).unwrap(), COMMIT);
    let weights = &wanted()["model.safetensors"];
    assert_eq!(&fs::read(in_cache(&cache, &format!("blobs/{}", sha256(weights)))).unwrap(), weights);
    assert!(files(&in_cache(&cache, "blobs")).keys().all(|name| !name.ends_with(".incomplete")));
    #[cfg(unix)]
    assert!(fs::read_link(folder.join("chat_templates/rag.jinja")).unwrap().starts_with("../../../blobs"));

    for (name, bytes) in wanted() {
        let of_file: Vec<(u64, u64)> =
            events.iter().filter(|(file, ..)| *file == name).map(|&(_, done, total)| (done, total)).collect();
        let size = bytes.len() as u64;
        assert!(of_file.is_sorted() && of_file.iter().all(|&(_, total)| total == size), "{name}: {of_file:?}");
        assert_eq!((of_file.first(), of_file.last()), (Some(&(0, size)), Some(&(size, size))), "{name}");
    }
    assert_eq!(events.last().unwrap().0, "model.safetensors", "weights come last");
}

#[test]
fn a_second_download_requests_only_the_revision() {
    let (server, cache) = (server(), cache());
    let folder = fetch(&options(&server, &cache)).unwrap();
    server.take_requests();
    assert_eq!(fetch(&options(&server, &cache)).unwrap(), folder);
    assert_eq!(server.take_requests(), [format!("GET /api/models/{REPO}/revision/main")]);
}

#[test]
fn only_changed_files_of_a_moved_branch_are_fetched() {
    let (server, cache) = (server(), cache());
    let old = fetch(&options(&server, &cache)).unwrap();
    server.take_requests();
    server.set_commit(OTHER_COMMIT);
    server.set_file("config.json", br#"{"model_type": "smolvlm", "new": 1}"#);
    let new = fetch(&options(&server, &cache)).unwrap();
    assert_ne!(old, new);
    assert_eq!(fs::read(new.join("config.json")).unwrap(), br#"{"model_type": "smolvlm", "new": 1}"#);
    assert_eq!(files(&old), wanted(), "the old commit stays as it was");
    assert_eq!(files(&new).len(), wanted().len());
    assert_eq!(fs::read_to_string(in_cache(&cache, "refs/main")).unwrap(), OTHER_COMMIT);
    let contents: Vec<String> =
        server.take_requests().into_iter().filter(|request| request.starts_with("GET /owner")).collect();
    assert_eq!(contents.len(), 1, "{contents:?}");
}

#[test]
fn branches_tags_and_commits_can_be_fetched() {
    let (server, cache) = (server(), cache());
    let options = options(&server, &cache);
    for revision in ["v1.0", "refs/pr/1", COMMIT] {
        let folder = download(&options, REPO, Some(revision)).unwrap();
        assert_eq!(files(&folder), wanted(), "{revision}");
    }
    assert!(server.take_requests().contains(&format!("GET /api/models/{REPO}/revision/refs%2Fpr%2F1")));
    assert!(in_cache(&cache, "refs/refs/pr/1").is_file());
    assert!(!in_cache(&cache, "refs").join(COMMIT).exists());
    let error = download(&options, REPO, Some("nowhere")).unwrap_err();
    assert!(matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "nowhere"), "{error}");
}

#[test]
fn all_shards_of_an_index_are_fetched() {
    let index =
        br#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let mut repository = checkpoint();
    repository.retain(|(name, _)| *name != "model.safetensors");
    repository.extend([
        ("model-00001-of-00002.safetensors", b"one".to_vec()),
        ("model-00002-of-00002.safetensors", b"two".to_vec()),
        ("model-00003-of-00002.safetensors", b"not in the index".to_vec()),
        ("model.safetensors.index.json", index.to_vec()),
    ]);
    let (server, cache) = (HubServer::start(REPO, repository), cache());
    let folder = fetch(&options(&server, &cache)).unwrap();
    let found = files(&folder);
    assert_eq!(found["model-00001-of-00002.safetensors"], b"one");
    assert_eq!(found["model-00002-of-00002.safetensors"], b"two");
    assert!(!found.contains_key("model-00003-of-00002.safetensors"));

    let outside = br#"{"weight_map": {"a": "../../../outside.safetensors"}}"#;
    server.set_file("model.safetensors.index.json", outside);
    let error = fetch(&options(&server, &self::cache())).unwrap_err();
    assert!(matches!(error, HubError::Response { .. }), "{error}");
}

#[test]
fn an_adapter_is_fetched_without_its_base_model() {
    let adapter = vec![
        ("README.md", b"# An adapter".to_vec()),
        ("adapter_config.json", b"{}".to_vec()),
        ("adapter_model.safetensors", b"weights".to_vec()),
        ("optimizer.pt", b"state".to_vec()),
    ];
    let (server, cache) = (HubServer::start(REPO, adapter), cache());
    let folder = fetch(&options(&server, &cache)).unwrap();
    assert_eq!(files(&folder).into_keys().collect::<Vec<_>>(), ["adapter_config.json", "adapter_model.safetensors"]);
}

#[test]
fn renamed_repositories_are_found() {
    let (server, cache) = (server(), cache());
    server.moved_from("Owner/old");
    let folder = download(&options(&server, &cache), "Owner/old", None).unwrap();
    assert_eq!(files(&folder), wanted());
    assert!(folder.starts_with(cache.path().join("models--Owner--old")));
}

#[test]
fn without_symlinks_the_snapshot_holds_the_contents() {
    let (server, cache) = (server(), cache());
    let mut options = options(&server, &cache);
    options.symlinks = false;
    let folder = fetch(&options).unwrap();
    assert_eq!(files(&folder), wanted());
    assert!(files(&in_cache(&cache, "blobs")).is_empty());
    assert!(!folder.join("model.safetensors").is_symlink());
    server.take_requests();
    assert_eq!(fetch(&options).unwrap(), folder);
    assert_eq!(server.take_requests().len(), 1, "present files are not fetched again");
    options.offline = true;
    assert_eq!(fetch(&options).unwrap(), folder);
}
