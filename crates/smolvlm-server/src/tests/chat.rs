//! `POST /v1/chat/completions` without streaming.

use super::support::{TestServer, demo, question, shapes, with};
use serde_json::{Value, json};
use smolvlm::{LoopGuard, Message};

fn image_question() -> Value {
    question(json!([
        {"type": "image_url", "image_url": {"url": shapes(), "detail": "high"}},
        {"type": "text", "text": "Describe this picture."},
    ]))
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

#[tokio::test]
async fn answers_are_those_of_the_library() {
    let server = TestServer::demo();
    let answer = server.chat(with(image_question(), json!({"max_tokens": 60}))).await.ok();
    let message = Message::user().image(super::support::corpus("world/shapes.png")).text("Describe this picture.");
    let params = demo().sampling().max_new_tokens(60).loop_guard(LoopGuard::default());
    let expected = demo().generate(message, params).unwrap();
    assert_eq!(content(&answer), expected.text());
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["index"], 0);
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer["choices"][0]["logprobs"], Value::Null);
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let usage = &answer["usage"];
    let (prompt, tokens) = (expected.prompt_tokens, expected.token_ids.len());
    assert_eq!(usage["prompt_tokens"], prompt);
    assert_eq!(usage["completion_tokens"], tokens);
    assert_eq!(usage["total_tokens"], prompt + tokens);
    let details = &usage["prompt_tokens_details"];
    assert!(details["image_tokens"].as_u64().unwrap() > 0);
    assert_eq!(details["image_tokens"].as_u64().unwrap() + details["text_tokens"].as_u64().unwrap(), prompt as u64);
    assert_eq!(answer["timings"]["predicted_n"], tokens);
    assert!(answer["timings"]["prompt_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn content_is_a_string_or_parts() {
    let server = TestServer::demo();
    let string = server.chat(question("How many circles?")).await.ok();
    for parts in [
        json!([{"type": "text", "text": "How many circles?"}]),
        json!([{"type": "input_text", "text": "How many circles?"}]),
    ] {
        let answer = server.chat(question(parts)).await.ok();
        assert_eq!(content(&answer), content(&string));
        assert_eq!(answer["usage"], string["usage"]);
    }
    // The other spellings of images.
    let expected = server.chat(image_question()).await.ok();
    for part in [
        json!({"type": "image_url", "image_url": shapes(), "uuid": "a"}),
        json!({"type": "input_image", "image_url": shapes()}),
        json!({"type": "image_url", "image_url": {"url": shapes(), "detail": "auto", "other": 1}}),
    ] {
        let request = question(json!([part, {"type": "text", "text": "Describe this picture."}]));
        let answer = server.chat(request).await.ok();
        assert_eq!(content(&answer), content(&expected));
    }
}

#[tokio::test]
async fn both_spellings_of_the_length_and_null_fields() {
    let server = TestServer::demo();
    let request = with(image_question(), json!({"max_completion_tokens": 2, "max_tokens": 5, "temperature": null}));
    let answer = server.chat(request).await.ok();
    assert_eq!(answer["usage"]["completion_tokens"], 2);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let ignored = json!({"model": "any", "user": "u", "tools": [], "tool_choice": "none", "store": false,
        "x": {"y": []},
        "frequency_penalty": 0, "presence_penalty": 0.0, "response_format": {"type": "text"}, "max_tokens": 3});
    let answer = server.chat(with(image_question(), ignored)).await.ok();
    assert_eq!(answer["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn text_ends_before_stop_strings() {
    let server = TestServer::demo();
    let request = with(image_question(), json!({"max_tokens": 60}));
    let whole = server.chat(request.clone()).await.ok();
    let whole = content(&whole);
    let word = whole.split(' ').nth(2).unwrap();
    for stop in [json!(word), json!([word, "never", ""])] {
        let answer = server.chat(with(request.clone(), json!({"stop": stop}))).await.ok();
        assert_eq!(content(&answer), whole.split_once(word).unwrap().0);
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn several_answers_depend_on_the_seed_only() {
    let server = TestServer::demo();
    let sampled = json!({"n": 3, "temperature": 5, "seed": 7, "max_tokens": 12});
    let texts = |answer: &Value| -> Vec<String> {
        let choices = answer["choices"].as_array().unwrap();
        for (index, choice) in choices.iter().enumerate() {
            assert_eq!(choice["index"], index);
        }
        choices.iter().map(|choice| choice["message"]["content"].as_str().unwrap().to_owned()).collect()
    };
    let first = server.chat(with(image_question(), sampled.clone())).await.ok();
    let again = server.chat(with(image_question(), sampled)).await.ok();
    let texts_of_first = texts(&first);
    assert_eq!(texts_of_first, texts(&again));
    assert_eq!(texts_of_first.len(), 3);
    assert_ne!(texts_of_first[0], texts_of_first[1]);
    assert_ne!(texts_of_first[1], texts_of_first[2]);
    let greedy = server.chat(with(image_question(), json!({"n": 2, "temperature": 0}))).await.ok();
    let greedy = texts(&greedy);
    assert_eq!(greedy[0], greedy[1]);
}

#[tokio::test]
async fn logprobs_concatenate_to_the_text() {
    let server = TestServer::demo();
    for more in [json!({}), json!({"stop": "is"}), json!({"skip_special_tokens": false})] {
        let request = with(image_question(), json!({"logprobs": true, "top_logprobs": 3, "max_tokens": 60}));
        let answer = server.chat(with(request, more)).await.ok();
        let tokens = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
        let text: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
        assert_eq!(text, content(&answer));
        assert!(!tokens.is_empty());
        for token in tokens {
            let top = token["top_logprobs"].as_array().unwrap();
            assert_eq!(top.len(), 3);
            // Greedy.
            assert_eq!(top[0]["logprob"], token["logprob"]);
            assert!(token["logprob"].as_f64().unwrap() <= 0.0);
            assert_eq!(token["bytes"].as_array().unwrap().len(), token["token"].as_str().unwrap().len());
        }
    }
}

#[tokio::test]
async fn biases_ban_and_force_tokens() {
    let server = TestServer::demo();
    let logprobs = json!({"logprobs": true, "max_tokens": 1});
    let answer = server.chat(with(image_question(), logprobs.clone())).await.ok();
    let id = |answer: &Value| answer["choices"][0]["logprobs"]["content"][0]["id"].as_u64().unwrap();
    let best = id(&answer);
    let banned = with(logprobs.clone(), json!({"logit_bias": {best.to_string(): -100}}));
    let second = id(&server.chat(with(image_question(), banned)).await.ok());
    assert_ne!(second, best);
    let forced = with(logprobs, json!({"logit_bias": [[second, 100]]}));
    assert_eq!(id(&server.chat(with(image_question(), forced)).await.ok()), second);
}

#[tokio::test]
async fn models_are_listed_on_both_paths() {
    let server = TestServer::demo();
    let list = server.get("/v1/models").await.ok();
    assert_eq!(list, server.get("/models").await.ok());
    let model = &list["data"][0];
    assert_eq!(model["object"], "model");
    assert_eq!(model["max_model_len"], model["meta"]["n_ctx"]);
    assert!(model["architecture"]["input_modalities"].as_array().unwrap().contains(&json!("image")));
    let id = model["id"].as_str().unwrap();
    assert_eq!(&server.get(&format!("/v1/models/{id}")).await.ok(), model);
    server.get("/v1/models/other").await.error(404);
    assert_eq!(server.get("/health").await.ok(), json!({"status": "ok"}));
}
