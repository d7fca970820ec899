//! Tests of interrupted, slow, concurrent and canceled transfers.

mod support;

use smolvlm_hub::{Event, HubError};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use support::server::COMMIT;
use support::{REPO, cache, fetch, files, in_cache, options, server, wanted};

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
