//! Golden of all error bodies, which contain neither paths nor URLs. The test prints the new ones if they change.

use super::support::png::png;
use super::support::{TestServer, data_url, demo, question, with};
use crate::config::ServerConfig;
use serde_json::{Value, json};

const EXPECTED: &str = include_str!("error_bodies.txt");

fn image(url: &str) -> Value {
    question(json!([{"type": "image_url", "image_url": {"url": url}}]))
}

/// Statuses and bodies, whose fields may have any order.
fn parsed(bodies: &str) -> Vec<(&str, Value)> {
    let lines = bodies.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(status, body)| (status, serde_json::from_str(body).unwrap())).collect()
}

#[tokio::test]
async fn bodies_are_as_recorded() {
    let config = ServerConfig { max_body_bytes: 1 << 20, ..ServerConfig::default() };
    let server = TestServer::with(config, demo());
    let base = question("a");
    let requests = [
        json!({}),
        json!({"messages": 7}),
        json!({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}),
        json!({"messages": [{"role": "nobody", "content": "a"}]}),
        with(base.clone(), json!({"temperature": -1})),
        with(base.clone(), json!({"max_tokens": "many"})),
        with(base.clone(), json!({"n": 100})),
        with(base.clone(), json!({"n": 1.5})),
        with(base.clone(), json!({"tools": [{}]})),
        with(base.clone(), json!({"response_format": {"type": "json_schema"}})),
        with(base.clone(), json!({"frequency_penalty": 3})),
        with(base.clone(), json!({"logit_bias": {"1": 1000}})),
        with(base.clone(), json!({"stop": vec!["a"; 17]})),
        with(base.clone(), json!({"ignored": "x".repeat(1 << 20)})),
        with(base, json!({"ignored": vec![0; 200_000]})),
        question("word ".repeat(20_000)),
        image("https://user:secret@example.com/secret.png?token=secret"),
        image("file:///home/someone/secret.png"),
        image("secret.png"),
        image("data:image/png;base64,secret!"),
        image("data:image/png;base64,AAAA"),
        image(&data_url(&png(2, 2, 3)[..40])),
        image(&data_url(&png(70_000, 1, 3))),
        question(json!([{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}])),
        question(vec![json!({"type": "image_url", "image_url": {"url": "data:,"}}); 65]),
    ];
    let mut found = String::new();
    for request in requests {
        let answer = server.chat(request).await;
        found += &format!("{} {}\n", answer.status.as_u16(), answer.text);
    }
    for (path, body) in [
        ("/api/chat", json!({"messages": [{"role": "user", "content": "a"}], "format": "xml"})),
        ("/api/generate", json!({"prompt": "a", "options": {"top_p": 2}})),
        ("/detokenize", json!({"tokens": [1_000_000]})),
        ("/v1/nothing", json!({})),
        ("/v1/models", json!({})),
    ] {
        let answer = server.post(path, body.to_string()).await;
        found += &format!("{} {}\n", answer.status.as_u16(), answer.text);
    }
    assert!(!found.contains("secret") && !found.contains(env!("CARGO_MANIFEST_DIR")), "{found}");
    assert!(parsed(&found) == parsed(EXPECTED), "the bodies are:\n{found}");
}
