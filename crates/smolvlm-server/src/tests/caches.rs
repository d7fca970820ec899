//! Caches of image features and prompts: an answer does not depend on what was asked before.

use super::support::png::png;
use super::support::{TestServer, corpus, data_url, load, question, shapes, with};
use crate::config::ServerConfig;
use serde_json::{Value, json};

/// The text of an answer and the log-probabilities of its tokens.
async fn answer(server: &TestServer, request: &Value) -> (Value, Vec<f64>) {
    let choice = server.chat(request.clone()).await.ok()["choices"][0].clone();
    let tokens = choice["logprobs"]["content"].as_array().unwrap().iter();
    (choice["message"]["content"].clone(), tokens.map(|token| token["logprob"].as_f64().unwrap()).collect())
}

/// Requests that a careless key of a cache would not tell apart: other shapes, other options, other orders, other
/// numbers of the same images.
fn requests() -> Vec<Value> {
    let image = |url: &str, detail| json!({"type": "image_url", "image_url": {"url": url, "detail": detail}});
    let [first, second] = [shapes(), data_url(&corpus("world/stop.png"))];
    let [wide, high] = [(64, 16), (16, 64)].map(|(width, height)| data_url(&png(width, height, 3)));
    let text = json!({"type": "text", "text": "What is this?"});
    let requests = [
        json!([image(&first, "high"), text]),
        json!([image(&first, "low"), text]),
        json!([image(&second, "high"), text]),
        json!([image(&first, "low"), image(&second, "low"), text]),
        json!([image(&second, "low"), image(&first, "low"), text]),
        json!([image(&first, "low"), image(&first, "low"), text]),
        json!([image(&wide, "high"), text]),
        json!([image(&high, "high"), text]),
        json!([{"type": "video", "video": [first, second]}, text]),
        json!([text]),
    ];
    requests.map(|content| with(question(content), json!({"logprobs": true, "max_tokens": 4}))).to_vec()
}

#[tokio::test]
async fn answers_do_not_depend_on_earlier_requests() {
    let fresh = || {
        let config = ServerConfig::default();
        let model = load(&config);
        TestServer::with(config, model)
    };
    let requests = requests();
    let mut alone = Vec::new();
    for request in &requests {
        alone.push(answer(&fresh(), request).await);
    }
    let server = fresh();
    let order = (0..requests.len()).chain((0..requests.len()).rev());
    for index in order {
        let (text, logprobs) = answer(&server, &requests[index]).await;
        assert_eq!((&text, logprobs.len()), (&alone[index].0, alone[index].1.len()), "{index}");
        for (found, expected) in logprobs.iter().zip(&alone[index].1) {
            assert!((found - expected).abs() < 1e-3, "{index}: {found} instead of {expected}");
        }
    }
    // The log-probabilities of each answer tell it from the others, so that a mistake is visible.
    for (index, (_, logprobs)) in alone.iter().enumerate() {
        for (_, others) in &alone[..index] {
            let difference = logprobs.iter().zip(others).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(difference > 1e-2, "{index}: {logprobs:?} and {others:?}");
        }
    }
}
