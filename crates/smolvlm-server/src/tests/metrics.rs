//! `GET /metrics`.

use super::support::{TestServer, load, question, shapes, with};
use crate::config::ServerConfig;
use serde_json::json;
use smolvlm::{Device, FeatureCacheOptions, Options, SmolVlm, Source};
use std::time::Duration;

fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name}: {metrics}")).parse().unwrap()
}

/// The work of the engine, of a model that no other test uses.
#[tokio::test]
async fn the_work_of_the_model_is_counted() {
    let config = ServerConfig::default();
    let model = load(&config);
    let server = TestServer::with(config, model.clone());
    let content = json!([
        {"type": "image_url", "image_url": {"url": shapes()}},
        {"type": "text", "text": "Describe this picture."},
    ]);
    let tiles = server.post("/v1/chat/completions/input_tokens", question(content.clone()).to_string()).await.ok();
    let tiles = tiles["tiles"].as_f64().unwrap();
    let metrics = server.get("/metrics").await.text;
    assert_eq!(value(&metrics, "smolvlm_tiles_encoded_total"), 0.0);
    assert_eq!(value(&metrics, "smolvlm_tiles_read_total"), 0.0);
    assert_eq!(value(&metrics, "smolvlm_kv_pages"), 0.0);
    server.chat(with(question(content.clone()), json!({"max_tokens": 5}))).await.ok();
    let metrics = server.get("/metrics").await.text;
    let encoded = value(&metrics, "smolvlm_tiles_encoded_total");
    assert!(encoded >= 1.0);
    assert_eq!(encoded + value(&metrics, "smolvlm_tiles_reused_total"), tiles);
    assert_eq!(value(&metrics, "smolvlm_prefix_pages_hit_total"), 0.0);
    assert!(value(&metrics, "smolvlm_kv_pages") >= 3.0);
    // The first token is that of the prompt.
    assert_eq!(value(&metrics, "smolvlm_decode_steps_total"), 4.0);
    assert_eq!(value(&metrics, "smolvlm_decode_step_tokens_total"), 4.0);
    let cached = server.chat(with(question(content), json!({"max_tokens": 5}))).await.ok();
    let cached = cached["usage"]["prompt_tokens_details"]["cached_tokens"].as_f64().unwrap();
    let metrics = server.get("/metrics").await.text;
    assert_eq!(value(&metrics, "smolvlm_tiles_encoded_total"), encoded);
    assert_eq!(
        value(&metrics, "smolvlm_tiles_encoded_total") + value(&metrics, "smolvlm_tiles_reused_total"),
        2.0 * tiles
    );
    assert_eq!(value(&metrics, "smolvlm_prefix_pages_hit_total"), cached / 32.0);
    assert_eq!(value(&metrics, "smolvlm_decode_steps_total"), 8.0);
    assert_eq!(model.engine_stats().decode_tokens, 8);
}

#[tokio::test]
async fn tiles_from_the_feature_cache_on_disk_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        let cache = FeatureCacheOptions::new(folder.path());
        let options = Options { device: Device::Flex, feature_cache: Some(cache), ..Options::default() };
        SmolVlm::load(Source::Demo, ServerConfig::default().model_options(options)).unwrap()
    };
    let content = json!([{"type": "image_url", "image_url": {"url": shapes()}}, {"type": "text", "text": "What?"}]);
    let first = TestServer::with(ServerConfig::default(), load());
    first.chat(with(question(content.clone()), json!({"max_tokens": 1}))).await.ok();
    let encoded = value(&first.get("/metrics").await.text, "smolvlm_tiles_encoded_total");
    while (std::fs::read_dir(folder.path()).unwrap().count() as f64) < encoded {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = TestServer::with(ServerConfig::default(), load());
    second.chat(with(question(content), json!({"max_tokens": 1}))).await.ok();
    let metrics = second.get("/metrics").await.text;
    assert_eq!(value(&metrics, "smolvlm_tiles_encoded_total"), 0.0);
    assert_eq!(value(&metrics, "smolvlm_tiles_read_total"), encoded);
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
    let metrics = server.get("/metrics").await.text;
    let twice = |count: &serde_json::Value| 2.0 * count.as_f64().unwrap();
    assert_eq!(value(&metrics, "smolvlm_prompt_tokens_total"), twice(&usage["prompt_tokens"]));
    assert_eq!(value(&metrics, "smolvlm_generation_tokens_total"), 6.0);
    let images = &usage["prompt_tokens_details"]["image_tokens"];
    assert_eq!(value(&metrics, "smolvlm_image_tokens_total"), twice(images));
    assert_eq!(value(&metrics, "smolvlm_request_success_total{finished_reason=\"length\"}"), 2.0);
    assert_eq!(value(&metrics, "smolvlm_requests_waiting"), 0.0);
    for stage in ["queue", "media", "vision", "prefill", "decode", "time_to_first_token", "inter_token_latency"] {
        assert_eq!(value(&metrics, &format!("smolvlm_{stage}_seconds_count")), 2.0, "{stage}");
        assert!(metrics.contains(&format!("smolvlm_{stage}_seconds_bucket{{le=\"0.005\"}}")), "{stage}");
    }
    // Servers of one process do not share metrics.
    assert_eq!(value(&other.get("/metrics").await.text, "smolvlm_generation_tokens_total"), 0.0);
}
