//! Images that the server fetches, if it is configured to.

use super::support::{TestServer, corpus, question, shapes, with};
use crate::config::ServerConfig;
use serde_json::{Value, json};
use smolvlm::{Device, IpNetwork, MediaPolicy, MediaScheme, Options, SmolVlm, Source};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A site that answers by path; counts its connections.
struct Site {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Site {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let stream = stream.unwrap();
                thread::spawn(move || respond(stream, port));
            }
        });
        Self { port, connections }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }
}

/// Errors of a client that has gone are ignored.
fn respond(mut stream: TcpStream, port: u16) {
    let mut request = [0; 2048];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let _ = match path {
        "/a.png" => {
            let body = corpus("world/shapes.png");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat())
        }
        "/there" => stream.write_all(redirect("/a.png").as_bytes()),
        "/loop" => stream.write_all(redirect("/loop").as_bytes()),
        "/inside" => stream.write_all(redirect(&format!("http://127.0.0.2:{port}/a.png")).as_bytes()),
        "/file" => stream.write_all(redirect("file:///etc/passwd").as_bytes()),
        "/slow" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            (0..1000).try_for_each(|_| {
                thread::sleep(Duration::from_millis(20));
                stream.write_all(b"x")
            })
        }
        "/endless" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            (0..10_000).try_for_each(|_| stream.write_all(&[0; 65_536]))
        }
        _ => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    };
}

/// A server that may fetch from `localhost`, and from these networks besides public addresses.
fn server(networks: Vec<IpNetwork>) -> TestServer {
    let mut media = MediaPolicy::untrusted();
    media.schemes.push(MediaScheme::Http);
    media.hosts = Some(vec!["localhost".parse().unwrap()]);
    media.networks = networks;
    let config = ServerConfig { media, ..ServerConfig::default() };
    let mut options = Options { device: Device::Flex, threads: Some(1), ..Options::default() };
    options.limits.http_timeout = Duration::from_millis(500);
    let model = SmolVlm::load(Source::Demo, config.model_options(options)).unwrap();
    TestServer::with(config, model)
}

fn image(url: &str) -> Value {
    let content = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What?"}]);
    with(question(content), json!({"max_tokens": 1}))
}

#[tokio::test]
async fn private_addresses_are_never_connected_to() {
    let site = Site::start();
    let server = server(Vec::new());
    for url in [
        site.url("localhost", "/a.png?token=secret"),
        site.url("user:secret@localhost", "/a.png"),
        site.url("localhost\\@example.com", "/secret"),
        site.url("LOCALHOST.", "/secret"),
        site.url("127.0.0.1", "/secret"),
        site.url("[::ffff:127.0.0.1]", "/secret"),
        site.url("2130706433", "/secret"),
        site.url("0x7f.1", "/secret"),
        site.url("[::1]", "/secret"),
    ] {
        let answer = server.chat(image(&url)).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{url}: {}", answer.text);
        assert!(!answer.text.contains("secret"), "{url}: {}", answer.text);
    }
    assert_eq!(site.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn redirects_are_checked_and_bounded() {
    let site = Site::start();
    let server = server(vec!["127.0.0.1/32".parse().unwrap(), "::1/128".parse().unwrap()]);
    let expected = server.chat(image(&shapes())).await.ok();
    for path in ["/a.png", "/there"] {
        let answer = server.chat(image(&site.url("localhost", path))).await.ok();
        assert_eq!(answer["choices"], expected["choices"], "{path}");
        let images = |answer: &Value| answer["usage"]["prompt_tokens_details"]["image_tokens"].as_u64().unwrap();
        assert!(images(&answer) > 0 && images(&answer) == images(&expected), "{path}");
    }
    // Each image is fetched once.
    assert_eq!(site.connections.load(Ordering::SeqCst), 3);
    for path in ["/loop", "/inside", "/file", "/none"] {
        let answer = server.chat(image(&site.url("localhost", path))).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{path}: {}", answer.text);
        assert!(!answer.text.contains("passwd"), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn slow_and_endless_downloads_end() {
    let site = Site::start();
    let server = server(vec!["127.0.0.1/32".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(server.chat(image(&site.url("localhost", "/slow"))).await.error(422)["code"], "media_not_fetched");
    let answer = server.chat(image(&site.url("localhost", "/endless"))).await;
    assert!([413, 422].contains(&answer.status.as_u16()), "{}", answer.text);
    server.chat(image(&shapes())).await.ok();
}
