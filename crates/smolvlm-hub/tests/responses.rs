//! Tests of denied access, missing files and responses that are wrong.

mod support;

use smolvlm_hub::HubError;
use std::fs;
use support::server::object::object_id;
use support::server::{COMMIT, HubServer, PAGE};
use support::{REPO, cache, checkpoint, download, fetch, files, in_cache, options, server, wanted};

#[test]
fn the_token_is_sent_only_to_the_hub() {
    let (server, cache) = (server(), cache());
    server.require_token("hf_right");
    let mut options = options(&server, &cache);

    let error = fetch(&options).unwrap_err();
    assert!(matches!(error, HubError::Unauthorized { status: 401, .. }), "{error}");
    assert!(error.to_string().contains("HF_TOKEN"), "{error}");
    options.token = Some("hf_wrong".to_owned());
    let error = fetch(&options).unwrap_err();
    assert!(error.to_string().contains("HF_TOKEN is not valid"), "{error}");
    assert!(!error.to_string().contains("hf_wrong"), "{error}");

    options.token = Some("hf_right".to_owned());
    assert_eq!(files(&fetch(&options).unwrap()), wanted());
    assert!(server.cdn_requests() > 0);
    assert_eq!(server.cdn_tokens(), 0, "large files come from another host, which must not see the token");
}

#[test]
fn errors_of_gated_repositories_explain_how_to_get_access() {
    let (server, cache) = (server(), cache());
    server.fail("/api/", 403, "GatedRepo", 1);
    let mut options = options(&server, &cache);
    options.token = Some("hf_right".to_owned());
    let error = fetch(&options).unwrap_err();
    assert!(matches!(error, HubError::Unauthorized { status: 403, .. }), "{error}");
    assert!(error.to_string().contains("accept its terms"), "{error}");
}

#[test]
fn missing_repositories_and_files_are_named() {
    let (server, cache) = (server(), cache());
    let options = options(&server, &cache);
    let error = download(&options, "owner/other", None).unwrap_err();
    assert!(matches!(&error, HubError::RepoNotFound { repo } if repo == "owner/other"), "{error}");

    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let mut repository = checkpoint();
        repository.retain(|(name, _)| *name != file);
        let server = HubServer::start(REPO, repository);
        let error = fetch(&self::options(&server, &self::cache())).unwrap_err();
        assert!(matches!(&error, HubError::FileNotFound { file: missing, .. } if missing == file), "{error}");
    }

    // Listed but missing.
    server.fail("/resolve/", 404, "EntryNotFound", 1);
    let error = fetch(&options).unwrap_err();
    assert!(matches!(error, HubError::FileNotFound { .. }), "{error}");
}

#[test]
fn unsafe_names_are_rejected_before_any_request() {
    let (server, cache) = (server(), cache());
    let options = options(&server, &cache);
    for repo in ["../..", "owner", "owner/../name", "/owner/name", "owner/na me", ""] {
        let error = download(&options, repo, None).unwrap_err();
        assert!(matches!(error, HubError::InvalidRepoId { .. }), "{repo}: {error}");
    }
    for revision in ["../../x", "/x", ""] {
        let error = download(&options, REPO, Some(revision)).unwrap_err();
        assert!(matches!(error, HubError::InvalidRevision { .. }), "{revision}: {error}");
    }
    assert_eq!(server.take_requests().len(), 0);
    assert!(cache.path().read_dir().unwrap().next().is_none());
}

#[test]
fn malformed_listings_are_errors() {
    for (listing, problem) in [
        ("<html>Welcome to our network</html>", "not a description of a repository"),
        (r#"{"id": "a/b", "siblings": []}"#, "names no commit"),
        (r#"{"id": "a/b", "sha": "../../../../etc", "siblings": []}"#, "names no commit"),
        (&format!(r#"{{"id": "a/b", "sha": "{COMMIT}"}}"#), "lists no files"),
    ] {
        let (server, cache) = (server(), cache());
        server.set_listing(listing);
        let error = fetch(&options(&server, &cache)).unwrap_err();
        assert!(matches!(error, HubError::Response { .. }) && error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn redirect_loops_are_errors() {
    let (server, cache) = (server(), cache());
    server.redirect_in_a_loop();
    let error = fetch(&options(&server, &cache)).unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error}");
}

#[test]
fn weights_that_fail_verification_are_rejected() {
    let (server, first) = (server(), cache());
    // A part with wrong bytes, shorter than the file.
    let part = format!("blobs/{}.incomplete", object_id("model.safetensors", &wanted()["model.safetensors"]));
    fs::create_dir_all(in_cache(&first, "blobs")).unwrap();
    fs::write(in_cache(&first, &part), vec![7; 500_000]).unwrap();
    assert_eq!(files(&fetch(&options(&server, &first)).unwrap()), wanted(), "a download from the start succeeds");
    // A part that is longer than the file.
    let second = cache();
    fs::create_dir_all(in_cache(&second, "blobs")).unwrap();
    fs::write(in_cache(&second, &part), vec![7; 4_000_000]).unwrap();
    assert_eq!(files(&fetch(&options(&server, &second)).unwrap()), wanted());

    server.corrupt("model.safetensors");
    let third = cache();
    let error = fetch(&options(&server, &third)).unwrap_err();
    assert!(matches!(&error, HubError::Corrupt { file, .. } if file == "model.safetensors"), "{error}");
    assert!(
        files(&in_cache(&third, "blobs")).values().all(|blob| blob.len() < 3_000_000),
        "a corrupt file must be deleted"
    );
}

#[test]
fn small_files_are_verified() {
    let (server, cache) = (server(), cache());
    server.corrupt("tokenizer.json");
    let error = fetch(&options(&server, &cache)).unwrap_err();
    assert!(matches!(&error, HubError::Corrupt { file, .. } if file == "tokenizer.json"), "{error}");
    assert!(!in_cache(&cache, &format!("snapshots/{COMMIT}/tokenizer.json")).exists());
}

#[test]
fn a_proxy_page_is_never_stored_as_a_file() {
    let long = PAGE.repeat(50_000);
    for path in ["/resolve/", "/resolve-cache/", "/cdn/"] {
        // The page is shorter than the weights, as long, and longer.
        for weights in [long.clone(), vec![1; PAGE.len()], vec![1; 10]] {
            let cache = cache();
            let mut repository = checkpoint();
            repository.retain(|(name, _)| *name != "model.safetensors");
            repository.push(("model.safetensors", weights));
            let server = HubServer::start(REPO, repository);
            let mut options = options(&server, &cache);
            options.attempts = 3;
            server.show_page(path, 200);
            let error = fetch(&options).unwrap_err();
            assert!(matches!(error, HubError::Network { .. } | HubError::Corrupt { .. }), "{path}: {error}");
            for (name, bytes) in files(cache.path()) {
                assert!(!bytes.starts_with(b"<!DOCTYPE"), "{path}: {name}");
            }
        }
    }
}
