//! Tests of downloads that fall back to a complete cache.

mod support;

use smolvlm_hub::{HubError, HubOptions};
use std::fs;
use std::time::{Duration, Instant};
use support::server::{COMMIT, OTHER_COMMIT};
use support::{REPO, cache, download, fetch, fetch_with_notes, files, in_cache, options, server, wanted};

#[test]
fn a_complete_cache_suffices_offline() {
    let cache = cache();
    let server = server();
    let mut options = options(&server, &cache);
    let folder = fetch(&options).unwrap();
    server.take_requests();
    options.offline = true;
    assert_eq!(fetch(&options).unwrap(), folder);
    assert_eq!(download(&options, REPO, Some(COMMIT)).unwrap(), folder);
    assert_eq!(server.take_requests().len(), 0);
}

#[test]
fn a_file_missing_offline_is_named() {
    let (server, cache) = (server(), cache());
    let mut options = options(&server, &cache);
    options.offline = true;
    let error = fetch(&options).unwrap_err();
    assert!(matches!(&error, HubError::Offline { missing, .. } if missing == "config.json"), "{error}");
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    assert_eq!(server.take_requests().len(), 0);

    options.offline = false;
    let folder = fetch(&options).unwrap();
    options.offline = true;
    fs::remove_file(fs::canonicalize(folder.join("model.safetensors")).unwrap()).unwrap();
    let error = fetch(&options).unwrap_err();
    assert!(matches!(&error, HubError::Offline { missing, .. } if missing == "model.safetensors"), "{error}");
    let error = download(&options, REPO, Some("other")).unwrap_err();
    assert!(matches!(&error, HubError::Offline { revision, .. } if revision == "other"), "{error}");
    // A dangling symlink is replaced.
    options.offline = false;
    assert_eq!(files(&fetch(&options).unwrap()), wanted());
}

#[test]
fn a_complete_cache_suffices_without_network_and_an_empty_one_is_an_error() {
    let cache = cache();
    let (options, folder) = {
        let server = server();
        let options = options(&server, &cache);
        let folder = fetch(&options).unwrap();
        (options, folder)
    };
    // The server has stopped. With a complete cache there is no pause for a retry.
    let mut slow = options.clone();
    slow.pause = Duration::from_secs(5);
    let clock = Instant::now();
    assert_eq!(fetch(&slow).unwrap(), folder);
    assert!(clock.elapsed() < Duration::from_secs(3), "{:?}", clock.elapsed());
    let mut empty = options.clone();
    let other = self::cache();
    empty.cache = other.path().to_owned();
    let error = fetch(&empty).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert!(other.path().read_dir().unwrap().next().is_none());
}

#[test]
fn a_complete_cache_is_used_when_the_hub_denies_access_or_a_proxy_responds() {
    for (status, code) in [
        (401, ""),
        (401, "RepoNotFound"),
        (403, "GatedRepo"),
        (404, "RepoNotFound"),
        (404, "RevisionNotFound"),
        (404, ""),
        (407, ""),
        (418, ""),
        (500, ""),
        (200, "page"),
        (401, "page"),
        (403, "page"),
        (404, "page"),
        (407, "page"),
    ] {
        let (server, cache) = (server(), cache());
        let options = options(&server, &cache);
        let folder = fetch(&options).unwrap();
        match code {
            "page" => server.show_page("/", status),
            code => server.fail("/", status, code, 100),
        }
        let (result, notes) = fetch_with_notes(&options);
        assert_eq!(result.unwrap(), folder, "{status} {code}");
        assert!(notes.len() == 1 && notes[0].contains(&COMMIT[..12]) && !notes[0].contains('\n'), "{notes:?}");

        let mut empty = options.clone();
        let other = self::cache();
        empty.cache = other.path().to_owned();
        let (result, notes) = fetch_with_notes(&empty);
        assert!(result.is_err() && notes.is_empty(), "{status} {code}: an empty cache cannot be used");
    }
}

#[test]
fn a_complete_cache_is_used_when_a_newer_commit_cannot_be_fetched() {
    for path in ["/tree/", "/resolve/", "/cdn/"] {
        let (server, cache) = (server(), cache());
        let mut options = options(&server, &cache);
        options.attempts = 2;
        let folder = fetch(&options).unwrap();
        server.set_commit(OTHER_COMMIT);
        server.set_file("config.json", b"{}");
        server.set_file("model.safetensors", b"new");
        server.show_page(path, 200);
        let (result, notes) = fetch_with_notes(&options);
        assert_eq!(result.unwrap(), folder, "{path}");
        assert!(notes.len() == 1 && notes[0].contains(&COMMIT[..12]), "{path}: {notes:?}");
        assert_eq!(fs::read_to_string(in_cache(&cache, "refs/main")).unwrap(), COMMIT);
    }
}

/// `/sys` is read-only even for root.
#[cfg(target_os = "linux")]
#[test]
fn a_complete_read_only_cache_is_used() {
    let server = server();
    let mut options = HubOptions::new("/sys/smolvlm");
    options.endpoint = server.url();
    let error = fetch(&options).unwrap_err();
    assert!(matches!(error, HubError::ReadOnly { .. }) && error.to_string().contains("HF_HUB_CACHE"), "{error}");

    let cache = cache();
    let options = self::options(&server, &cache);
    let folder = fetch(&options).unwrap();
    fs::remove_dir_all(cache.path().join(".locks")).unwrap();
    std::os::unix::fs::symlink("/sys", cache.path().join(".locks")).unwrap();
    let (result, notes) = fetch_with_notes(&options);
    assert_eq!((result.unwrap(), notes.len()), (folder.clone(), 0));
    server.set_commit(OTHER_COMMIT);
    server.set_file("config.json", b"{\"new\": 1}");
    let (result, notes) = fetch_with_notes(&options);
    assert_eq!(result.unwrap(), folder);
    assert!(notes.len() == 1 && notes[0].contains("cannot write"), "{notes:?}");
}
