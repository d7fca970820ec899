//! Parameters of sampling, compared with the library.

use super::support::{TestServer, demo, question, shapes, with};
use serde_json::{Value, json};
use smolvlm::{LoopGuard, Message, SamplingParams};

fn request(more: Value) -> Value {
    let content = json!([
        {"type": "image_url", "image_url": {"url": shapes()}},
        {"type": "text", "text": "Describe this picture."},
    ]);
    with(question(content), with(json!({"max_tokens": 40}), more))
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

#[tokio::test]
async fn penalties_reach_the_model() {
    let server = TestServer::demo();
    let expected = |set: fn(SamplingParams) -> SamplingParams| {
        let params = set(demo().sampling().max_new_tokens(40).loop_guard(LoopGuard::default()));
        // A text without an end repeats words, which the penalties change.
        let ends = params.eos_token_ids.clone();
        let params = params.suppress_tokens(ends);
        let message = Message::user().image(super::support::corpus("world/shapes.png")).text("Describe this picture.");
        demo().generate(message, params).unwrap().text().to_owned()
    };
    let plain = expected(|params| params);
    type Change = fn(SamplingParams) -> SamplingParams;
    let cases: [(Value, Change); 4] = [
        (json!({"frequency_penalty": 2}), |params| params.frequency_penalty(2.0)),
        (json!({"presence_penalty": 2.0}), |params| params.presence_penalty(2.0)),
        (json!({"repetition_penalty": 1.5}), |params| params.repetition_penalty(1.5)),
        (json!({"frequency_penalty": -2, "presence_penalty": -2}), |params| {
            params.frequency_penalty(-2.0).presence_penalty(-2.0)
        }),
    ];
    let mut changed = 0;
    for (more, set) in cases {
        let answer = server.chat(request(with(more.clone(), json!({"ignore_eos": true})))).await.ok();
        assert_eq!(content(&answer), expected(set), "{more}");
        changed += usize::from(content(&answer) != plain);
        let answer = server.chat(request(more.clone())).await.ok();
        let mut options = more.clone();
        if let Some(penalty) = options.as_object_mut().unwrap().remove("repetition_penalty") {
            options["repeat_penalty"] = penalty;
        }
        let image = shapes().split_once(',').unwrap().1.to_owned();
        let message = json!({"role": "user", "content": "Describe this picture.", "images": [image]});
        let options = with(options, json!({"num_predict": 40}));
        let ollama = json!({"messages": [message], "stream": false, "options": options}).to_string();
        assert_eq!(server.post("/api/chat", ollama).await.ok()["message"]["content"], content(&answer), "{more}");
    }
    assert!(changed > 1);
}

#[tokio::test]
async fn end_tokens_are_delayed_ignored_and_shown() {
    let server = TestServer::demo();
    let plain = server.chat(request(json!({}))).await.ok();
    assert_eq!(plain["choices"][0]["finish_reason"], "stop");
    let tokens = plain["usage"]["completion_tokens"].as_u64().unwrap();
    let longer = server.chat(request(json!({"min_tokens": tokens + 3}))).await.ok();
    assert!(longer["usage"]["completion_tokens"].as_u64().unwrap() > tokens + 3);
    let endless = server.chat(request(json!({"ignore_eos": true, "max_tokens": tokens + 9}))).await.ok();
    assert_eq!(endless["usage"]["completion_tokens"], tokens + 9);
    assert_eq!(endless["choices"][0]["finish_reason"], "length");
    let shown = server.chat(request(json!({"skip_special_tokens": false}))).await.ok();
    assert_eq!(content(&shown), format!("{}<end_of_utterance>", content(&plain)));
}
