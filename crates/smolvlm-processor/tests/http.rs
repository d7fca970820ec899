//! Tests of downloads over HTTP from an in-process server.
#![cfg(feature = "http")]

mod common;

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use common::server::{reply, serve};
use common::{png, processor_with};
use smolvlm_processor::{Batch, Content, Conversation, Error, Message, ProcessorLimits, RenderOptions};

fn fetch(url: &str, limits: ProcessorLimits) -> Result<Batch, Error> {
    processor_with(limits).process(&[Conversation::from(Message::user().image(url))], &RenderOptions::answer())
}

#[test]
fn image_downloads_follow_redirects() {
    let base = serve(|path, connection| match path {
        "/a.png" => reply(connection, "200 OK", "Content-Type: text/plain\r\n", &png()),
        "/moved" => reply(connection, "302 Found", "Location: /a.png\r\n", b""),
        "/loop" => reply(connection, "302 Found", "Location: /loop\r\n", b""),
        "/away" => reply(connection, "302 Found", "Location: file:///etc/hostname\r\n", b""),
        "/text" => reply(connection, "200 OK", "", b"not an image"),
        _ => reply(connection, "404 Not Found", "", b"no"),
    });
    let run = |path: &str| fetch(&format!("{base}{path}"), ProcessorLimits::default());
    assert_eq!(run("/a.png").unwrap().tile_count(), 13);
    assert_eq!(run("/moved").unwrap().tile_count(), 13);
    for (path, reason) in [("/loop", "redirect"), ("/none", "404"), ("/away", "")] {
        let error = run(path).unwrap_err();
        assert!(matches!(&error, Error::Http { reason: found, .. } if found.contains(reason)), "{path}: {error}");
        assert!(error.to_string().starts_with("message 0, item 0: URL \"http://127.0.0.1"), "{error}");
    }
    assert!(matches!(run("/text"), Err(Error::Image { .. })));
    let none = ProcessorLimits { http_redirects: 0, ..ProcessorLimits::default() };
    assert!(matches!(fetch(&format!("{base}/moved"), none), Err(Error::Http { .. } | Error::Image { .. })));
}

#[test]
fn video_downloads_have_their_own_limit() {
    let gif = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus/clips/moving.gif")).unwrap();
    let size = gif.len() as u64;
    let base = serve(move |_, connection| reply(connection, "200 OK", "", &gif));
    let run = |max_video_bytes| {
        let mut limits = ProcessorLimits { max_video_bytes, ..ProcessorLimits::default() };
        // The image limit does not apply to videos.
        limits.image.max_bytes = 10;
        let question = Conversation::from(Message::user().video(format!("{base}/a.gif")));
        processor_with(limits).process(&[question], &RenderOptions::answer())
    };
    assert!(run(size).unwrap().prompts[0].contains("[H:MM:SS] video"));
    assert!(matches!(run(size - 1), Err(Error::TooLarge { limit, .. }) if limit == size - 1));
}

/// Names and declared types say nothing, or something wrong.
#[test]
fn bytes_tell_what_a_url_names() {
    let gif = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus/clips/moving.gif")).unwrap();
    let mp4 = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus/clips/plain.mp4")).unwrap();
    let base = serve(move |path, connection| match path {
        "/v/123" | "/v.png" => reply(connection, "200 OK", "Content-Type: image/png\r\n", &gif),
        "/v/4" => reply(connection, "200 OK", "", &mp4),
        "/p/5" | "/p.mp4" => reply(connection, "200 OK", "Content-Type: video/mp4\r\n", &png()),
        _ => reply(connection, "404 Not Found", "", b"no"),
    });
    let processor = processor_with(ProcessorLimits::default());
    for (path, is_video) in [("/v/123", true), ("/v.png", true), ("/v/4", true), ("/p/5", false), ("/p.mp4", false)] {
        let content = processor.content(&format!("{base}{path}")).unwrap();
        assert_eq!(matches!(content, Content::Video(_)), is_video, "{path}");
        assert_eq!(matches!(content, Content::Image(_)), !is_video, "{path}");
    }
    assert!(matches!(processor.content(&format!("{base}/none")), Err(Error::Http { .. })));
    let process = |message| processor.process(&[Conversation::from(message)], &RenderOptions::answer());
    let batch = process(Message::user().video(format!("{base}/v/123"))).unwrap();
    assert!(batch.prompts[0].contains("[H:MM:SS] video"));
    let error = process(Message::user().image(format!("{base}/v/4"))).unwrap_err();
    assert!(matches!(error, Error::IsVideo { .. }) && error.to_string().contains("video"), "{error}");
}

#[test]
fn download_size_and_time_are_limited() {
    let base = serve(|path, connection| match path {
        // Endless response without a content length.
        "/endless" => {
            let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            let mut going = connection.write_all(head).is_ok();
            while going {
                going = connection.write_all(&[0; 4096]).is_ok();
            }
        }
        "/slow" => {
            drop(connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1"));
            thread::sleep(Duration::from_secs(20));
        }
        // One byte at a time, endlessly.
        "/drip" => {
            let mut going = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").is_ok();
            while going {
                thread::sleep(Duration::from_millis(20));
                going = connection.write_all(b"1").is_ok();
            }
        }
        "/drip-headers" => {
            let mut going = connection.write_all(b"HTTP/1.1 200 OK\r\nX: ").is_ok();
            while going {
                thread::sleep(Duration::from_millis(20));
                going = connection.write_all(b"1").is_ok();
            }
        }
        // Endless redirects, each of them fast.
        path if path.starts_with("/r") => {
            thread::sleep(Duration::from_millis(100));
            reply(connection, "302 Found", &format!("Location: {path}1\r\n"), b"");
        }
        _ => reply(connection, "200 OK", "", &vec![0; 100_000]),
    });
    let mut limits = ProcessorLimits { http_timeout: Duration::from_millis(500), ..ProcessorLimits::default() };
    limits.image.max_bytes = 10_000;
    for path in ["/big", "/endless"] {
        let error = fetch(&format!("{base}{path}"), limits.clone()).unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 10_000, .. }), "{path}: {error}");
    }
    limits.http_redirects = 1000;
    for path in ["/slow", "/drip", "/drip-headers", "/r"] {
        let start = Instant::now();
        let error = fetch(&format!("{base}{path}"), limits.clone()).unwrap_err();
        assert!(matches!(&error, Error::Http { reason, .. } if reason.contains("timeout")), "{path}: {error}");
        assert!(start.elapsed() < Duration::from_secs(5), "{path}");
    }
}

#[test]
fn unreachable_and_invalid_urls_are_errors() {
    let limits = || ProcessorLimits { http_timeout: Duration::from_secs(2), ..ProcessorLimits::default() };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/a.png");
    assert!(matches!(fetch(&url, limits()), Err(Error::Http { .. })));
    for url in ["http://", "http://[::1", "https:x", "http:///a.png", "http://a b/", "http://a:port/"] {
        assert!(matches!(fetch(url, limits()), Err(Error::Url { .. })), "{url}");
    }
}
