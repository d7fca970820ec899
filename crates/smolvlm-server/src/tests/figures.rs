//! `GET /metrics`.

use super::support::{TestServer, question, shapes, with};
use serde_json::json;

fn value(figures: &str, name: &str) -> f64 {
    let line = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name}: {figures}")).parse().unwrap()
}

#[tokio::test]
async fn requests_tokens_and_times_are_counted() {
    let server = TestServer::demo();
    let other = TestServer::demo();
    let content = json!([
        {"type": "image_url", "image_url": {"url": shapes()}},
        {"type": "text", "text": "Describe this picture."},
    ]);
    let request = with(question(content), json!({"max_tokens": 3}));
    let usage = server.chat(request.clone()).await.ok()["usage"].clone();
    server.chat(with(request, json!({"stream": true}))).await.events();
    server.chat(json!({})).await.error(400);
    let figures = server.get("/metrics").await.text;
    let twice = |count: &serde_json::Value| 2.0 * count.as_f64().unwrap();
    assert_eq!(value(&figures, "smolvlm_prompt_tokens_total"), twice(&usage["prompt_tokens"]));
    assert_eq!(value(&figures, "smolvlm_generation_tokens_total"), 6.0);
    let images = &usage["prompt_tokens_details"]["image_tokens"];
    assert_eq!(value(&figures, "smolvlm_image_tokens_total"), twice(images));
    assert_eq!(value(&figures, "smolvlm_request_success_total{finished_reason=\"length\"}"), 2.0);
    assert_eq!(value(&figures, "smolvlm_requests_waiting"), 0.0);
    for stage in ["queue", "media", "vision", "prefill", "decode", "time_to_first_token", "inter_token_latency"] {
        assert_eq!(value(&figures, &format!("smolvlm_{stage}_seconds_count")), 2.0, "{stage}");
        assert!(figures.contains(&format!("smolvlm_{stage}_seconds_bucket{{le=\"0.005\"}}")), "{stage}");
    }
    // Servers of one process do not share figures.
    assert_eq!(value(&other.get("/metrics").await.text, "smolvlm_generation_tokens_total"), 0.0);
}
