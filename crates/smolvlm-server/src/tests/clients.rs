//! Requests of clients that are not written in Rust or Python, as they document or send them.

use super::support::png::png;
use super::support::{TestServer, base64, corpus, data_url, shapes};
use serde_json::{Value, json};

fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

fn jpeg() -> String {
    format!("data:image/jpeg;base64,{}", base64(&corpus("harbour.jpg")))
}

/// docling, `api_image_request`: an RGBA page before the text, no model, no length.
#[tokio::test]
async fn docling() {
    let server = TestServer::demo();
    let page = data_url(&png(200, 100, 4));
    let request = json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": page}},
        {"type": "text", "text": "Convert this page to docling."},
    ]}]});
    let answer = server.chat(request).await.ok();
    // The fields that its response model requires.
    assert!(answer["id"].is_string() && answer["created"].is_u64() && answer["model"].is_string());
    assert!(["stop", "length"].contains(&answer["choices"][0]["finish_reason"].as_str().unwrap()));
    for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        assert!(answer["usage"][count].is_u64());
    }
    // Control tokens of the page's markup are kept if asked for.
    let request = json!({"messages": [{"role": "user", "content": "a"}], "skip_special_tokens": false,
        "stop": ["</doctag>"],
        "max_tokens": 40});
    server.chat(request).await.ok();
}

/// Frigate, plugins `openai` and `llama_cpp`: text first, then many images in low detail.
#[tokio::test]
async fn frigate() {
    let server = TestServer::demo();
    let image = json!({"type": "image_url", "image_url": {"url": jpeg(), "detail": "low"}});
    let mut content = vec![json!({"type": "text", "text": "Describe the person in these frames."})];
    content.extend(vec![image; 3]);
    let message = json!([{"role": "user", "content": content}]);
    let answer = server.chat(json!({"model": "gpt-4o", "messages": message, "max_tokens": 8})).await.ok();
    assert!(!text(&answer).is_empty());
    // The size of the context, and the cost of an image.
    let model = server.get("/v1/models").await.ok()["data"][0].clone();
    assert!(model["meta"]["n_ctx"].is_u64());
    assert!(server.get("/props").await.ok()["default_generation_settings"]["n_ctx"].is_u64());
    let gray = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "."},
        {"type": "image_url", "image_url": {"url": data_url(&png(640, 480, 3))}},
    ]}], "max_tokens": 1});
    let answer = server.chat(gray).await.ok();
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 60);
    // The plugin `ollama`.
    let request = json!({"model": "m", "prompt": "Describe.", "images": [base64(&corpus("harbour.jpg"))],
        "stream": false,
        "options": {"num_predict": 4}, "keep_alive": "1h"});
    assert!(server.post("/api/generate", request.to_string()).await.ok()["response"].is_string());
}

/// LLM Vision for Home Assistant: the system prompt as a string, names and images in turn.
#[tokio::test]
async fn llm_vision() {
    let server = TestServer::demo();
    let content = json!([
        {"type": "text", "text": "Image 1:"},
        {"type": "image_url", "image_url": {"url": shapes()}},
        {"type": "text", "text": "Image 2:"},
        {"type": "image_url", "image_url": {"url": shapes()}},
        {"type": "text", "text": "Describe the images."},
    ]);
    let request = json!({
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "You are a camera."}, {"role": "user", "content": content}],
        "max_completion_tokens": 12,
        "temperature": 0.5,
        "top_p": 0.9,
    });
    let answer = server.chat(request).await.ok();
    assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() <= 12);
    // With Ollama, the model is loaded first.
    let load = json!({"model": "m", "prompt": [], "stream": false});
    server.post("/api/generate", load.to_string()).await.ok();
    server.get("/api/tags").await.ok();
}

/// Open WebUI: models without the version, titles with string content, chats as streams with usage.
#[tokio::test]
async fn open_webui() {
    let server = TestServer::demo();
    let id = server.get("/models").await.ok()["data"][0]["id"].clone();
    let title = json!({"model": id, "messages": [{"role": "user", "content": "### Task: Generate a title."}],
        "stream": false, "max_completion_tokens": 10});
    assert!(text(&server.chat(title).await.ok()).len() < 200);
    let chat = json!({"model": id, "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 6,
    "messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": shapes()}},
        ]},
    ]});
    let events = server.chat(chat).await.events();
    assert!(events.last().unwrap()["usage"]["total_tokens"].is_u64());
}
