//! Tests of network policies against in-process servers.
#![cfg(feature = "http")]

mod common;

use std::io::Write;
use std::process::Command;

use common::server::{reply, serve, serve_on};
use common::{png, processor, processor_with};
use smolvlm_processor::{
    AddressRule, Batch, Conversation, Error, MediaPolicy, MediaScheme, Message, ProcessorLimits, RenderOptions,
};

/// A policy that allows only public addresses and the given networks.
fn public(networks: &[&str]) -> MediaPolicy {
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    MediaPolicy { addresses: AddressRule::Public, networks, ..MediaPolicy::default() }
}

fn fetch(url: &str, policy: MediaPolicy) -> Result<Batch, Error> {
    let processor = processor().with_media_policy(policy);
    processor.process(&[Conversation::from(Message::user().image(url))], &RenderOptions::answer())
}

#[test]
fn connections_to_private_addresses_are_never_made() {
    let (base, requests) = serve_on("127.0.0.1", |_, connection| reply(connection, "200 OK", "", &png()));
    let port = base.rsplit(':').next().unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "user@127.0.0.1",
        "example.com@127.0.0.1",
    ] {
        let error = fetch(&format!("http://{host}:{port}/a.png"), public(&[])).unwrap_err();
        assert!(matches!(error, Error::NotAllowed { .. }), "{host}: {error}");
    }
    // Not every resolver supports a trailing dot in the name.
    let error = fetch(&format!("http://localhost.:{port}/a.png"), public(&[])).unwrap_err();
    assert!(matches!(error, Error::NotAllowed { .. } | Error::Http { .. }), "{error}");
    for url in [format!("http://127.0.0.1:{port}\\@example.com/"), format!("http:\\\\127.0.0.1:{port}/")] {
        assert!(matches!(fetch(&url, public(&[])), Err(Error::Url { .. })), "{url}");
    }
    assert!(requests.paths().is_empty());
    assert!(fetch(&format!("http://localhost:{port}/a.png"), public(&["127.0.0.0/8", "::1"])).is_ok());
    assert_eq!(requests.paths(), ["/a.png"]);
}

#[test]
fn redirect_targets_are_checked() {
    let (hidden, hidden_requests) = serve_on("127.0.0.2", |_, connection| reply(connection, "200 OK", "", &png()));
    let hidden_port = hidden.rsplit(':').next().unwrap().to_owned();
    let (base, _) = serve_on("127.0.0.1", move |path, connection| {
        let location = match path {
            "/private" => hidden.clone(),
            "/slashes" => format!("//127.0.0.2:{hidden_port}/a.png"),
            "/number" => format!("http://2130706434:{hidden_port}/"),
            "/mapped" => format!("http://[::ffff:127.0.0.2]:{hidden_port}/"),
            "/backslash" => format!("\\\\127.0.0.2:{hidden_port}"),
            "/file" => "file:///etc/hostname".to_owned(),
            "/data" => "data:image/png;base64,AAAA".to_owned(),
            "/relative" => "sub/../a.png?x".to_owned(),
            _ => return reply(connection, "200 OK", "", &png()),
        };
        reply(connection, "302 Found", &format!("Location: {location}\r\n"), b"");
    });
    let run = |path: &str| fetch(&format!("{base}{path}"), public(&["127.0.0.1"]));
    for path in ["/private", "/slashes", "/number", "/mapped"] {
        assert!(matches!(run(path), Err(Error::NotAllowed { .. })), "{path}");
    }
    for path in ["/backslash", "/file", "/data"] {
        assert!(matches!(run(path), Err(Error::Http { .. })), "{path}");
    }
    assert!(run("/relative").is_ok());
    assert!(hidden_requests.paths().is_empty());
    // The same redirects are followed if all addresses are allowed.
    assert!(fetch(&format!("{base}/slashes"), MediaPolicy::default()).is_ok());
    assert_eq!(hidden_requests.paths(), ["/a.png"]);
}

#[test]
fn hosts_and_schemes_are_checked_before_anything_is_opened() {
    let (base, requests) = serve_on("127.0.0.1", |_, connection| reply(connection, "200 OK", "", &png()));
    let with_hosts = |host: &str| MediaPolicy { hosts: Some(vec![host.parse().unwrap()]), ..MediaPolicy::default() };
    assert!(matches!(fetch(&base, with_hosts("example.com")), Err(Error::NotAllowed { .. })));
    let no_http = MediaPolicy { schemes: vec![MediaScheme::Data, MediaScheme::Https], ..MediaPolicy::default() };
    let error = fetch(&base, no_http).unwrap_err().to_string();
    assert!(error.contains("an http: URL is not allowed") && error.contains("https: URL"), "{error}");
    assert!(requests.paths().is_empty());
    assert!(fetch(&base, with_hosts("127.0.0.1")).is_ok());
}

#[test]
fn total_media_size_time_and_count_are_limited() {
    let size = png().len() as u64;
    let (base, _) = serve_on("127.0.0.1", |_, connection| reply(connection, "200 OK", "", &png()));
    let two = [Conversation::from(Message::user().image(base.as_str()).image(base.as_str()))];
    let run = |policy| processor().with_media_policy(policy).process(&two, &RenderOptions::answer());
    let policy = |max_total_bytes| MediaPolicy { max_total_bytes, ..MediaPolicy::default() };
    assert!(run(policy(2 * size)).is_ok());
    for limit in [2 * size - 1, size, size - 1, 0] {
        let error = run(policy(limit)).unwrap_err();
        assert!(matches!(&error, Error::TooLarge { what, limit: found } if what.contains("all") && *found == limit));
    }
    assert!(matches!(run(MediaPolicy { max_total_seconds: 0, ..MediaPolicy::default() }), Err(Error::Http { .. })));
    assert!(matches!(run(MediaPolicy { max_media: 1, ..MediaPolicy::default() }), Err(Error::TooManyMedia { .. })));
}

/// A few kilobytes that would decompress to many megabytes.
#[test]
fn compressed_responses_are_errors() {
    let base = serve(|path, connection| {
        let encoding = path.trim_start_matches('/');
        reply(connection, "200 OK", &format!("Content-Encoding: {encoding}\r\n"), &png());
    });
    for encoding in ["gzip", "br", "deflate", "gzip,gzip", "zstd"] {
        let error = fetch(&format!("{base}/{encoding}"), MediaPolicy::default()).unwrap_err();
        assert!(matches!(&error, Error::Http { reason, .. } if reason.contains("compressed")), "{encoding}: {error}");
    }
    assert!(fetch(&format!("{base}/identity"), MediaPolicy::default()).is_ok());
}

#[test]
fn errors_contain_only_the_origin_of_a_url() {
    let base = serve(|path, connection| match path.split('?').next() {
        Some("/secret-moved") => reply(connection, "302 Found", "Location: /secret-loop?secret\r\n", b""),
        Some("/secret-loop") => reply(connection, "302 Found", "Location: /secret-loop?secret\r\n", b""),
        Some("/secret-bad") => reply(connection, "302 Found", "Location: http://[secret\r\n", b""),
        Some("/secret-text") => reply(connection, "200 OK", "", b"not an image"),
        Some("/secret-cut") => drop(connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx")),
        Some("/secret-wild") => drop(connection.write_all(b"secret secret\r\n\r\n")),
        _ => reply(connection, "404 Secret", "", b""),
    });
    let host = base.trim_start_matches("http://").to_owned();
    let mut urls = Vec::new();
    for path in ["moved", "bad", "text", "cut", "wild", "none"] {
        urls.push(format!("http://secret:secret@{host}/secret-{path}?token=secret#secret"));
    }
    urls.push("http://127.0.0.1:1/secret?secret".to_owned());
    urls.push("https://127.0.0.1:1/secret?secret".to_owned());
    urls.push("http://[::1/secret".to_owned());
    urls.push("http://\\secret".to_owned());
    urls.push("ftp://secret/secret".to_owned());
    urls.push("secret secret".to_owned());
    for url in urls {
        for policy in [MediaPolicy::default(), public(&[]), MediaPolicy::untrusted()] {
            let source = smolvlm_processor::ImageSource::Url(url.clone());
            let conversation = Conversation::from(Message::user().image(source));
            let error = processor().with_media_policy(policy).process(&[conversation], &RenderOptions::answer());
            let error = error.unwrap_err();
            assert!(
                !format!("{error} {error:?}").to_lowercase().replace("http://secret", "").contains("secret"),
                "{error}"
            );
        }
    }
}

/// The header and metadata of a JPEG file come first, so an estimate does not wait for the rest.
#[test]
fn jpeg_estimate_downloads_only_the_header() {
    let jpeg = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus/harbour.jpg")).unwrap();
    let expected = Conversation::from(Message::user().image(jpeg.as_slice()));
    let base = serve(move |_, connection| {
        let mut going = connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").is_ok();
        going = going && connection.write_all(&jpeg).is_ok();
        while going {
            going = connection.write_all(&[0; 4096]).is_ok();
        }
    });
    let conversation = Conversation::from(Message::user().image(base.as_str()));
    let processor = processor_with(ProcessorLimits::default());
    let estimate = |conversation| processor.estimate(conversation, &RenderOptions::answer()).unwrap();
    assert_eq!(estimate(&conversation), estimate(&expected));
}

/// Fetches the URL in the environment, for the tests below: environment variables are set for a child process only.
#[test]
#[ignore = "run by other tests"]
fn fetch_in_child_process() {
    let Ok(url) = std::env::var("SMOLVLM_TEST_URL") else { return };
    let policy = match std::env::var_os("SMOLVLM_TEST_PUBLIC") {
        Some(_) => public(&["127.0.0.1"]),
        None => MediaPolicy::default(),
    };
    match fetch(&url, policy) {
        Ok(batch) => println!("tiles: {}", batch.tile_count()),
        Err(error) => println!("error: {error}"),
    }
}

fn child(url: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "fetch_in_child_process", "--nocapture"]);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"] {
        command.env_remove(variable);
    }
    command.env_remove("SSL_CERT_DIR").env("SMOLVLM_TEST_URL", url).envs(variables.iter().copied());
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn proxy_does_not_bypass_the_address_check() {
    let (base, _) = serve_on("127.0.0.1", |_, connection| reply(connection, "200 OK", "", &png()));
    let (proxy, proxied) = serve_on("127.0.0.1", |_, connection| reply(connection, "200 OK", "", &png()));
    let answer = child(&base, &[("HTTP_PROXY", &proxy)]);
    assert!(!proxied.paths().is_empty(), "{answer}");
    let before = proxied.paths().len();
    let answer = child(&base, &[("HTTP_PROXY", &proxy), ("SMOLVLM_TEST_PUBLIC", "1")]);
    assert!(answer.contains("tiles: 13"), "{answer}");
    let answer = child("http://10.0.0.1/", &[("HTTP_PROXY", &proxy), ("SMOLVLM_TEST_PUBLIC", "1")]);
    assert!(answer.contains("not allowed"), "{answer}");
    assert_eq!(proxied.paths().len(), before);
}

#[test]
fn certificates_of_the_environment_are_trusted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
    let url = tls::serve(folder, png());
    let authority = format!("{folder}/ca.pem");
    let with_file = child(&url, &[("SSL_CERT_FILE", &authority)]);
    assert!(with_file.contains("tiles: 13"), "{with_file}");
    assert!(child(&url, &[("SSL_CERT_DIR", folder)]).contains("tiles: 13"));
    for variables in [&[][..], &[("SSL_CERT_FILE", "")], &[("SSL_CERT_FILE", "/no/such/file")]] {
        let answer = child(&url, variables);
        assert!(answer.contains("error: ") && !answer.contains("tiles"), "{answer}");
    }
    assert!(child(&url, &[("SSL_CERT_FILE", "/no/such/file")]).contains("SSL_CERT_FILE: "));
}

mod tls {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    /// Answers every request over TLS with `body`.
    pub fn serve(folder: &str, body: Vec<u8>) -> String {
        let chain = vec![CertificateDer::from_pem_file(format!("{folder}/server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(format!("{folder}/server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = Arc::new(config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let session = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(session, connection.unwrap());
                let mut request = [0; 2048];
                if stream.read(&mut request).is_ok() {
                    let head =
                        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)));
                    stream.conn.send_close_notify();
                    drop(stream.flush());
                }
            }
        });
        format!("https://localhost:{port}/a.png")
    }
}
