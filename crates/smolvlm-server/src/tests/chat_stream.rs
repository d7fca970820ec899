//! `POST /v1/chat/completions` with streaming.

use super::support::{Fake, TestServer, endless, outcome, part, question, scripted, shapes, with};
use crate::backend::BackendEvent;
use crate::config::ServerConfig;
use serde_json::{Value, json};
use smolvlm::{Cancel, FinishReason};
use std::time::Duration;

fn request(more: Value) -> Value {
    let parts = json!([
        {"type": "image_url", "image_url": {"url": shapes()}},
        {"type": "text", "text": "Describe this picture."},
    ]);
    with(with(question(parts), json!({"stream": true, "max_tokens": 60})), more)
}

fn text_of(events: &[Value], index: usize) -> String {
    let of_index = |event: &&Value| event["choices"][0]["index"] == index;
    let text = |event: &Value| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    events.iter().filter(of_index).filter_map(text).collect()
}

#[tokio::test]
async fn chunks_have_the_documented_form() {
    let server = TestServer::demo();
    let whole = server.chat(request(json!({"stream": false}))).await.ok();
    let events = server.chat(request(json!({}))).await.events();
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": null}));
    assert_eq!(text_of(&events, 0), whole["choices"][0]["message"]["content"].as_str().unwrap());
    let (last, rest) = events.split_last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["choices"][0]["delta"], json!({}));
    assert!(rest.len() > 5);
    for event in &events {
        assert_eq!(event["id"], events[0]["id"]);
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event["choices"].as_array().unwrap().len(), 1);
        assert!(event.get("usage").is_none());
    }
    for event in &rest[1..] {
        let choice = &event["choices"][0];
        assert_eq!(choice["finish_reason"], Value::Null);
        assert!(choice["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()), "{event}");
        assert!(choice["delta"].get("role").is_none());
    }
}

#[tokio::test]
async fn usage_comes_last_if_asked_for() {
    let server = TestServer::demo();
    let mut whole = server.chat(request(json!({"stream": false}))).await.ok();
    let events = server.chat(request(json!({"stream_options": {"include_usage": true}}))).await.events();
    let (last, rest) = events.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    // The same prompt again: its whole pages of 32 tokens are known, at the first time perhaps from another test.
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 96);
    whole["usage"]["prompt_tokens_details"]["cached_tokens"] = json!(96);
    assert_eq!(last["usage"], whole["usage"]);
    assert!(rest.iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));
    let error = server.chat(request(json!({"stream_options": {"include_usage": 1}}))).await.error(400);
    assert_eq!(error["param"], "stream_options.include_usage");
}

#[tokio::test]
async fn several_answers_have_an_index() {
    let server = TestServer::demo();
    let more = json!({"n": 2, "temperature": 3, "seed": 1});
    let whole = server.chat(with(request(more.clone()), json!({"stream": false}))).await.ok();
    let events = server.chat(request(more)).await.events();
    for index in 0..2 {
        assert_eq!(text_of(&events, index), whole["choices"][index]["message"]["content"].as_str().unwrap());
        let of_index: Vec<&Value> = events.iter().filter(|event| event["choices"][0]["index"] == index).collect();
        assert_eq!(of_index[0]["choices"][0]["delta"]["role"], "assistant");
        assert!(of_index.last().unwrap()["choices"][0]["finish_reason"].is_string());
    }
}

#[tokio::test]
async fn logprobs_concatenate_to_the_text() {
    let server = TestServer::demo();
    let plain = server.chat(request(json!({}))).await.events();
    let text = text_of(&plain, 0);
    let word = text.split(' ').nth(3).unwrap();
    // Within words.
    let inner = text.get(11..14).unwrap();
    for more in
        [json!({}), json!({"stop": word}), json!({"stop": [inner]}), json!({"n": 2, "temperature": 2, "seed": 3})]
    {
        let request = with(request(json!({"logprobs": true, "top_logprobs": 1})), more);
        let events = server.chat(request.clone()).await.events();
        let whole = server.chat(with(request, json!({"stream": false}))).await.ok();
        let mut parts = 0;
        for choice in events.iter().map(|event| &event["choices"][0]) {
            let Some(tokens) = choice["logprobs"]["content"].as_array() else { continue };
            let text: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
            assert_eq!(text, choice["delta"]["content"].as_str().unwrap());
            parts += 1;
        }
        // As many parts as without log-probabilities.
        assert!(parts > 2, "{events:?}");
        for choice in whole["choices"].as_array().unwrap() {
            let index = choice["index"].as_u64().unwrap() as usize;
            assert_eq!(text_of(&events, index), choice["message"]["content"].as_str().unwrap());
            let of_index = events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == index);
            let tokens = of_index.filter_map(|choice| choice["logprobs"]["content"].as_array()).flatten();
            assert!(tokens.eq(choice["logprobs"]["content"].as_array().unwrap()));
        }
    }
}

#[tokio::test]
async fn invalid_requests_have_a_status_instead_of_a_stream() {
    let server = TestServer::demo();
    let long = with(question("word ".repeat(20_000)), json!({"stream": true}));
    let error = server.chat(long).await.error(400);
    assert_eq!(error["type"], "exceed_context_size_error");
    assert!(error["n_prompt_tokens"].as_u64().unwrap() > error["n_ctx"].as_u64().unwrap());
}

#[tokio::test]
async fn an_error_in_a_stream_is_an_event() {
    let backend =
        Fake(|_, _| Ok(scripted(vec![Ok(BackendEvent::Text("a".to_owned())), Err(smolvlm::Error::Cancelled)])));
    let server = TestServer::fake(ServerConfig::default(), backend);
    let answer = server.chat(with(question("a"), json!({"stream": true}))).await;
    let last = answer.text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    let error: Value = serde_json::from_str(last).unwrap();
    assert_eq!(error["error"]["type"], "server_error");
}

#[tokio::test]
async fn silent_streams_are_pinged() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(Some(wait));
    let backend = Fake(move |_, _| {
        let wait = wait.lock().unwrap().take().unwrap();
        let events = std::iter::once_with(move || {
            let _ = wait.recv();
            Ok(outcome(FinishReason::Eos, 1))
        });
        Ok(Box::new(events))
    });
    let config = ServerConfig { ping: Duration::from_millis(5), ..ServerConfig::default() };
    let server = TestServer::fake(config, backend);
    let mut body = server.open("/v1/chat/completions", &with(question("a"), json!({"stream": true}))).await;
    assert_eq!(part(&mut body).await, ": ping\n\n");
    release.send(()).unwrap();
    let mut text = String::new();
    while !text.ends_with("data: [DONE]\n\n") {
        text += &part(&mut body).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_generation() {
    let (sender, cancels) = std::sync::mpsc::channel();
    let backend = Fake(move |_, cancel: &Cancel| {
        sender.send(cancel.clone()).unwrap();
        Ok(endless(cancel))
    });
    let config = ServerConfig { parallel: 1, ..ServerConfig::default() };
    let server = TestServer::fake(config, backend);
    let mut body = server.open("/v1/chat/completions", &with(question("a"), json!({"stream": true}))).await;
    assert!(part(&mut body).await.contains("assistant"));
    let cancel = cancels.recv().unwrap();
    assert!(!cancel.is_cancelled());
    drop(body);
    assert!(cancel.is_cancelled());
    // The same without streaming: the handler is dropped.
    let waiting = server.chat(question("a"));
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    assert!(cancels.recv().unwrap().is_cancelled());
}
