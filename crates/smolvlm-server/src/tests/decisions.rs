//! `POST /v1/decisions`.

use super::support::{TestServer, demo, shapes, with};
use crate::config::ServerConfig;
use serde_json::{Value, json};
use std::time::Duration;

/// Questions about the shapes of the demo's world.
fn request() -> Value {
    let image = json!({"type": "image_url", "image_url": {"url": shapes()}});
    json!({
        "messages": [{"role": "user", "content": [image]}],
        "questions": [
            {"type": "choice", "question": "What colour is the circle?", "options": ["red", "green", "blue", "white"]},
            {"type": "number", "question": "How many shapes are there?", "min": 0, "max": 9},
            {"type": "yes_no", "question": "Is a circle round?"},
        ],
    })
}

fn options(decision: &Value) -> &Vec<Value> {
    decision["options"].as_array().unwrap()
}

#[tokio::test]
async fn decisions_agree_with_the_generated_answers() {
    let server = TestServer::demo();
    let answer = server.post("/v1/decisions", request().to_string()).await.ok();
    assert_eq!((&answer["object"], answer["decisions"].as_array().unwrap().len()), (&json!("decisions"), 3));
    let image = json!({"type": "image_url", "image_url": {"url": shapes()}});
    // The model was not trained on yes/no questions about pictures.
    let request = request();
    let asked = request["questions"].as_array().unwrap().iter().take(2);
    for (decision, question) in answer["decisions"].as_array().unwrap().iter().zip(asked) {
        assert_eq!((&decision["type"], &decision["question"]), (&question["type"], &question["question"]));
        let sum: f64 = options(decision).iter().map(|option| option["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{decision}");
        let content = json!([image, {"type": "text", "text": question["question"]}]);
        let chat = server.chat(json!({"messages": [{"role": "user", "content": content}], "max_tokens": 8})).await.ok();
        let generated = chat["choices"][0]["message"]["content"].as_str().unwrap().to_lowercase();
        assert!(generated.starts_with(decision["answer"].as_str().unwrap()), "{generated:?} {decision}");
        assert!(decision["coverage"].as_f64().unwrap() > 0.5, "{decision}");
    }
    assert_eq!(options(&answer["decisions"][2])[0]["option"], "yes");
    let expected = answer["decisions"][1]["expected"].as_f64().unwrap();
    assert!((0.0..=9.0).contains(&expected) && answer["decisions"][0].get("expected").is_none());
    let usage = &answer["usage"];
    assert!(usage["prompt_tokens_details"]["image_tokens"].as_u64().unwrap() > 0, "{usage}");
    assert_eq!(usage["completion_tokens"], 0);
    // The same route without its version; the picture's pages are kept.
    let again = server.post("/decisions", request.to_string()).await.ok();
    assert_eq!(again["decisions"], answer["decisions"]);
    assert!(again["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() > 0, "{again}");
    assert!(server.app.metrics.render(None).contains("smolvlm_request_success_total{finished_reason=\"stop\"}"));
}

#[tokio::test]
async fn temperatures_change_probabilities_only() {
    let server = TestServer::demo();
    let sharp = server.post("/v1/decisions", request().to_string()).await.ok();
    let warm = with(request(), json!({"calibration": {"choice": 20}}));
    let warm = server.post("/v1/decisions", warm.to_string()).await.ok();
    let [sharp, warm] = [&sharp["decisions"], &warm["decisions"]];
    assert_eq!(sharp[0]["answer"], warm[0]["answer"]);
    assert!(sharp[0]["probability"].as_f64() > warm[0]["probability"].as_f64());
    assert_eq!(sharp[1], warm[1]);
}

#[tokio::test]
async fn invalid_requests_name_the_field() {
    let server = TestServer::demo();
    let text = |question: Value| json!({"questions": [{"type": "yes_no", "question": "?"}, question]});
    for (more, param) in [
        (json!({"messages": null}), "messages"),
        (json!({"questions": null}), "questions"),
        (json!({"questions": "?"}), "questions"),
        (json!({"questions": []}), "questions"),
        (json!({"questions": [1]}), "questions[0]"),
        (text(json!({"type": "essay", "question": "?"})), "questions[1]"),
        (text(json!({"type": "choice", "question": "?"})), "questions[1]"),
        (text(json!({"type": "yes_no", "question": " "})), "questions[1].question"),
        (text(json!({"type": "choice", "question": "?", "options": []})), "questions[1].options"),
        (text(json!({"type": "choice", "question": "?", "options": ["a", ""]})), "questions[1].options"),
        (text(json!({"type": "choice", "question": "?", "options": ["a", "A"]})), "questions[1].options"),
        (text(json!({"type": "number", "question": "?", "min": 1, "max": 0})), "questions[1].max"),
        (text(json!({"type": "number", "question": "?", "min": 0, "max": 1e9})), "questions[1].max"),
        (text(json!({"type": "number", "question": "?", "min": 0, "max": 1, "step": 0})), "questions[1].step"),
        (json!({"calibration": {"choice": 0}}), "calibration"),
        (json!({"calibration": {"color": 1}}), "calibration"),
        (json!({"calibration": 1}), "calibration"),
    ] {
        let error = server.post("/v1/decisions", with(request(), more.clone()).to_string()).await.error(400);
        assert_eq!(error["param"], param, "{more} {error}");
    }
    let many = json!({"questions": vec![json!({"type": "yes_no", "question": "?"}); 257]});
    let error = server.post("/v1/decisions", with(request(), many).to_string()).await.error(400);
    assert_eq!(error["param"], "questions[256].question");
    assert!(server.has_place());
}

#[tokio::test]
async fn the_time_limit_ends_a_request_and_frees_its_place() {
    let config = ServerConfig { request_timeout: Duration::ZERO, ..ServerConfig::default() };
    let server = TestServer::with(config, demo());
    let answer = server.post("/v1/decisions", request().to_string()).await;
    assert!(matches!(answer.status.as_u16(), 503 | 504), "{}", answer.text);
    super::support::until(|| server.has_place()).await;
}
