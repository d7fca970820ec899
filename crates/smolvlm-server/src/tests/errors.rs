//! Error bodies and status codes.

use super::support::{Fake, TestServer, demo, question, with};
use crate::config::ServerConfig;
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

#[tokio::test]
async fn unknown_paths_and_methods_have_error_bodies() {
    let server = TestServer::demo();
    for path in ["/page", "/v2/models", "/v1/chat", "/v1/../etc/passwd", "/%2e%2e/a"] {
        assert_eq!(server.get(path).await.error(404)["type"], "not_found_error", "{path}");
    }
    assert_eq!(server.get("/v1/chat/completions").await.error(405)["type"], "invalid_request_error");
}

#[tokio::test]
async fn bodies_that_are_no_objects_are_rejected() {
    let server = TestServer::demo();
    for body in ["", "{", "[]", "null", "7", "\"a\"", "{\"messages\": [}", "\u{0}", "{\"a\": \"\\ud800\"}"] {
        let error = server.post("/v1/chat/completions", body).await.error(400);
        assert_eq!(error["type"], "invalid_request_error", "{body}");
    }
    server.post("/v1/chat/completions", vec![0xff, 0xfe]).await.error(400);
    let nested = format!("{{\"messages\": {}}}", "[".repeat(100_000));
    server.post("/v1/chat/completions", nested).await.error(400);
    let many = format!("{{\"messages\": [{}0]}}", "0,".repeat(250_000));
    assert!(server.post("/v1/chat/completions", many).await.error(400)["message"].as_str().unwrap().contains("values"));
}

#[tokio::test]
async fn large_bodies_are_rejected_and_images_are_not() {
    let server = TestServer::with(ServerConfig { max_body_bytes: 3 << 20, ..ServerConfig::default() }, demo());
    // More than axum's default of 2 MiB.
    let long = with(question("a"), json!({"ignored": "x".repeat(5 << 19)}));
    server.chat(long).await.ok();
    let error = server.chat(with(question("a"), json!({"ignored": "x".repeat(4 << 20)}))).await.error(413);
    assert!(error["message"].as_str().unwrap().contains("3145728"));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_times_out() {
    let config = ServerConfig { body_timeout: std::time::Duration::from_millis(20), ..ServerConfig::default() };
    let server = TestServer::with(config, demo());
    let body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = Request::post("/v1/chat/completions").body(body).unwrap();
    server.send(request).await.error(408);
}

#[tokio::test]
async fn a_long_prompt_is_an_error_with_numbers() {
    let server = TestServer::demo();
    let error = server.chat(question("word ".repeat(20_000))).await.error(400);
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("exceed_context_size_error"), &json!("context_length_exceeded"))
    );
    let context = server.get("/v1/models").await.ok()["data"][0]["max_model_len"].clone();
    assert_eq!(error["n_ctx"], context);
    assert!(error["n_prompt_tokens"].as_u64() > context.as_u64());
}

#[tokio::test]
async fn loading_and_stopping_servers_are_unavailable() {
    let server = TestServer::loading(ServerConfig::default());
    for path in ["/health", "/v1/models"] {
        let answer = server.get(path).await;
        assert_eq!(answer.error(503)["code"], "loading");
        assert_eq!(answer.headers["retry-after"], "1");
    }
    server.chat(question("a")).await.error(503);
    let server = TestServer::demo();
    server.get("/health").await.ok();
    server.app.drain();
    assert_eq!(server.get("/health").await.error(503)["code"], "draining");
    assert_eq!(server.chat(question("a")).await.error(503)["code"], "draining");
}

/// Causes with paths, addresses or details go to the log only.
#[tokio::test]
async fn causes_of_failures_are_logged_and_not_sent() {
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&lines);
    let log = crate::config::Log::new(move |line| seen.lock().unwrap().push(line.to_owned()));
    let config = ServerConfig { log, ..ServerConfig::default() };
    let server = TestServer::fake(
        config,
        Fake(|_, _| {
            let source = std::io::Error::other("device at 0x7f00dead");
            Err(smolvlm::Error::Write { path: "/home/someone/secret".into(), source })
        }),
    );
    let answer = server.chat(question("a")).await;
    assert_eq!(answer.error(500)["type"], "server_error");
    assert!(!answer.text.contains("secret") && !answer.text.contains("0x7f"), "{}", answer.text);
    assert!(lines.lock().unwrap()[0].contains("/home/someone/secret"));
}
