//! Downloads from a local mock of the hub.

// Shared with other test targets, which use other parts of it.
#[allow(dead_code)]
mod server;

use server::{COMMIT, HubServer, OTHER_COMMIT, PAGE, object_id, sha256};
use smolvlm_hub::{Event, HubError, HubOptions};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const REPO: &str = "owner/name";

/// A checkpoint's repository, with files that need not be fetched.
fn checkpoint() -> Vec<(&'static str, Vec<u8>)> {
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

fn server() -> HubServer {
    HubServer::start(REPO, checkpoint())
}

/// Options for a mock hub, with short timeouts.
fn options(server: &HubServer, cache: &TempDir) -> HubOptions {
    let mut options = HubOptions::new(cache.path());
    options.endpoint = server.url();
    options.timeout = Duration::from_secs(5);
    options.pause = Duration::from_millis(1);
    options
}

fn fetch(options: &HubOptions) -> Result<PathBuf, HubError> {
    download(options, REPO, None)
}

fn download(options: &HubOptions, repo: &str, revision: Option<&str>) -> Result<PathBuf, HubError> {
    options.download(repo, revision, &mut |_| ControlFlow::Continue(()))
}

/// The result and the notes of a download.
fn fetch_with_notes(options: &HubOptions) -> (Result<PathBuf, HubError>, Vec<String>) {
    let mut notes = Vec::new();
    let result = options.download(REPO, None, &mut |event| {
        if let Event::Note(text) = event {
            notes.push(text.to_owned());
        }
        ControlFlow::Continue(())
    });
    (result, notes)
}

fn cache() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The files below a folder by name, following symlinks.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
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
fn wanted() -> BTreeMap<String, Vec<u8>> {
    let other = [".gitattributes", "README.md", "onnx/model.onnx", "training_args.bin"];
    let files = checkpoint().into_iter().filter(|(name, _)| !other.contains(name));
    files.map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// A path in the repository's folder in the cache.
fn in_cache(cache: &TempDir, path: &str) -> PathBuf {
    cache.path().join("models--owner--name").join(path)
}

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
fn an_interrupted_connection_is_resumed() {
    let (server, cache) = (server(), cache());
    let size = wanted()["model.safetensors"].len();
    server.cut("model.safetensors", &[1_000_000, 700_000]);
    let folder = fetch(&options(&server, &cache)).unwrap();
    assert_eq!(files(&folder), wanted());

    let served = server.served("model.safetensors");
    assert_eq!(served.len(), 3, "{served:?}");
    assert_eq!((served[0].from, served[0].bytes), (0, 1_000_000));
    // The client may have read less of an interrupted connection than the server sent, never more.
    assert!(served[1].from > 0 && served[1].from <= 1_000_000, "{served:?}");
    assert!(served[2].from > served[1].from && served[2].from <= served[1].from + 700_000, "{served:?}");
    assert_eq!(served[2].from + served[2].bytes, size);
}

#[test]
fn a_later_process_resumes_an_interrupted_download() {
    let (server, cache) = (server(), cache());
    let mut options = options(&server, &cache);
    options.attempts = 1;
    server.cut("model.safetensors", &[1_000_000]);
    let error = fetch(&options).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }) && error.to_string().contains("of 3000000 bytes"), "{error}");
    let folder = in_cache(&cache, &format!("snapshots/{COMMIT}"));
    assert!(!folder.join("model.safetensors").exists(), "an incomplete file must not be in the snapshot");
    assert!(!in_cache(&cache, "refs/main").exists(), "an incomplete revision must not have a ref");

    let mut first = None;
    let again = options.download(REPO, None, &mut |event| {
        if let Event::Progress { file: "model.safetensors", done, .. } = event {
            first = first.or(Some(done));
        }
        ControlFlow::Continue(())
    });
    assert_eq!(files(&again.unwrap()), wanted());
    let served = server.served("model.safetensors");
    assert_eq!(served.len(), 2, "{served:?}");
    assert!(served[1].from > 0 && Some(served[1].from as u64) == first, "{served:?} {first:?}");
}

#[test]
fn downloads_restart_if_the_host_cannot_resume_and_stop_without_progress() {
    let (server, first) = (server(), cache());
    server.ignore_ranges();
    server.cut("model.safetensors", &[1_000_000]);
    assert_eq!(files(&fetch(&options(&server, &first)).unwrap()), wanted());
    assert_eq!(server.served("model.safetensors").iter().map(|served| served.from).collect::<Vec<_>>(), [0, 0]);

    // Every other attempt gets farther than the one before, but none completes.
    server.cut("model.safetensors", &[900_000, 1_100_000].repeat(25));
    let error = fetch(&options(&server, &cache())).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert!(server.served("model.safetensors").len() < 12);
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
fn renamed_repositories_are_found() {
    let (server, cache) = (server(), cache());
    server.moved_from("Owner/old");
    let folder = download(&options(&server, &cache), "Owner/old", None).unwrap();
    assert_eq!(files(&folder), wanted());
    assert!(folder.starts_with(cache.path().join("models--Owner--old")));
}

#[test]
fn transient_errors_are_retried() {
    let (server, cache) = (server(), cache());
    server.fail("/api/", 503, "", 2);
    server.fail("/resolve/", 429, "", 2);
    // An expired signed URL.
    server.fail("/cdn/", 403, "", 1);
    assert_eq!(files(&fetch(&options(&server, &cache)).unwrap()), wanted());

    server.fail("/api/", 503, "", 100);
    let error = fetch(&options(&server, &self::cache())).unwrap_err();
    assert!(matches!(error, HubError::Network { .. }) && error.to_string().contains("HTTP 503"), "{error}");
    assert_eq!(server.failures_left("/api/"), 95, "the number of attempts is the option's");
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
fn unresponsive_hosts_time_out() {
    for path in ["/api/", "/resolve/", "/cdn/"] {
        let (server, cache) = (server(), cache());
        server.hang(path);
        let mut options = options(&server, &cache);
        options.timeout = Duration::from_millis(200);
        options.attempts = 2;
        let clock = Instant::now();
        let error = fetch(&options).unwrap_err();
        assert!(matches!(error, HubError::Network { .. }), "{path}: {error}");
        assert!(clock.elapsed() < Duration::from_secs(4), "{path}: {:?}", clock.elapsed());
    }
}

#[test]
fn a_connection_that_stalls_within_a_file_times_out_and_is_resumed() {
    let (server, cache) = (server(), cache());
    server.stall("model.safetensors", 1_000_000);
    let mut options = options(&server, &cache);
    options.timeout = Duration::from_millis(300);
    let clock = Instant::now();
    assert_eq!(files(&fetch(&options).unwrap()), wanted());
    assert!(clock.elapsed() < Duration::from_secs(4), "{:?}", clock.elapsed());
    let served = server.served("model.safetensors");
    assert_eq!(served.iter().map(|served| served.from).collect::<Vec<_>>(), [0, 1_000_000]);
}

#[test]
fn a_slow_connection_with_progress_does_not_time_out() {
    let (server, cache) = (server(), cache());
    let mut options = options(&server, &cache);
    options.timeout = Duration::from_millis(500);
    options.attempts = 1;
    // Eight chunks, which take several times the timeout together.
    server.slow_down("model.safetensors", 8, Duration::from_millis(150));
    assert_eq!(files(&fetch(&options).unwrap()), wanted());
    assert_eq!(server.served("model.safetensors").len(), 1);
}

#[test]
fn concurrent_downloads_fetch_a_file_once() {
    let (server, cache) = (server(), cache());
    server.slow_down("model.safetensors", 4, Duration::from_millis(50));
    let options = options(&server, &cache);
    std::thread::scope(|scope| {
        let downloads: Vec<_> = (0..4).map(|_| scope.spawn(|| fetch(&options))).collect();
        for download in downloads {
            assert_eq!(files(&download.join().unwrap().unwrap()), wanted());
        }
    });
    assert_eq!(server.served("model.safetensors").len(), 1);
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

#[test]
fn small_files_are_verified() {
    let (server, cache) = (server(), cache());
    server.corrupt("tokenizer.json");
    let error = fetch(&options(&server, &cache)).unwrap_err();
    assert!(matches!(&error, HubError::Corrupt { file, .. } if file == "tokenizer.json"), "{error}");
    assert!(!in_cache(&cache, &format!("snapshots/{COMMIT}/tokenizer.json")).exists());
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

#[test]
fn a_download_can_be_cancelled_and_resumed() {
    let (server, cache) = (server(), cache());
    server.slow_down("model.safetensors", 30, Duration::from_millis(100));
    let options = options(&server, &cache);
    let cancelled = options.download(REPO, None, &mut |event| match event {
        Event::Progress { file: "model.safetensors", done: 1.., .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(cancelled, Err(HubError::Cancelled)));
    server.slow_down("model.safetensors", 1, Duration::ZERO);
    assert_eq!(files(&fetch(&options).unwrap()), wanted());
    let served = server.served("model.safetensors");
    assert!(served.len() == 2 && served[1].from > 0, "{served:?}");
}

#[test]
fn a_download_from_an_unresponsive_hub_can_be_cancelled_at_once() {
    let (server, cache) = (server(), cache());
    server.hang("/api/");
    let mut options = options(&server, &cache);
    options.timeout = Duration::from_secs(60);
    let clock = Instant::now();
    let cancelled = options.download(REPO, None, &mut |_| ControlFlow::Break(()));
    assert!(matches!(cancelled, Err(HubError::Cancelled)));
    assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
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
