//! Numbers that are negative, not finite, huge or of another type, and amplifiers.

use super::support::{TestServer, question, with};
use serde_json::{Value, json};

#[tokio::test]
async fn invalid_numbers_are_named() {
    let server = TestServer::demo();
    let cases: &[(&str, &[&str])] = &[
        ("max_tokens", &["0", "-1", "1.5", "1e30", "99999999999999999999", "\"8\"", "\"NaN\"", "[8]", "true"]),
        ("max_completion_tokens", &["0", "-5", "2.5", "1e9"]),
        ("min_tokens", &["-1", "0.5", "1e12"]),
        ("n", &["0", "-1", "9", "1e6", "1.5", "\"2\""]),
        ("temperature", &["-0.1", "101", "1e300", "\"NaN\"", "\"hot\"", "{}"]),
        ("top_p", &["-0.1", "1.1", "1e300"]),
        ("top_k", &["-2", "1.5", "1e300"]),
        ("min_p", &["-0.1", "1.1"]),
        ("repetition_penalty", &["0", "-1", "1e300"]),
        ("frequency_penalty", &["3", "-3", "2.1", "\"a\"", "1e300"]),
        ("presence_penalty", &["3", "-3", "-2.1", "[]"]),
        ("seed", &["1.5", "1e300", "99999999999999999999", "\"a\""]),
        ("top_logprobs", &["-1", "21", "1", "0.5"]),
        ("logprobs", &["1", "\"yes\""]),
        ("stream", &["1", "\"true\""]),
        ("logit_bias", &["{\"a\": 1}", "{\"1\": 101}", "{\"1\": -1e300}", "{\"-1\": 1}", "{\"99999999\": 1}", "7"]),
        ("stop", &["7", "[7]", "[[\"a\"]]"]),
        ("skip_special_tokens", &["0"]),
        ("ignore_eos", &["[]"]),
    ];
    for (name, values) in cases {
        for value in *values {
            let body = format!(r#"{{"messages": [{{"role": "user", "content": "a"}}], "{name}": {value}}}"#);
            let error = server.post("/v1/chat/completions", body).await.error(400);
            assert_eq!(error["param"], *name, "{name}: {value}: {error}");
            assert_eq!(error["type"], "invalid_request_error");
        }
    }
    // Not JSON, as some clients write them.
    for value in ["NaN", "Infinity", "-Infinity", "1e999", "00", ""] {
        let body = format!(r#"{{"messages": [{{"role": "user", "content": "a"}}], "temperature": {value}}}"#);
        server.post("/v1/chat/completions", body).await.error(400);
    }
    server.chat(question("a")).await.ok();
}

#[tokio::test]
async fn the_borders_of_the_ranges_are_valid() {
    let server = TestServer::demo();
    for more in [
        json!({"temperature": 0, "top_p": 0, "top_k": 0, "min_p": 0}),
        json!({"temperature": 100, "top_p": 1, "top_k": -1, "min_p": 1, "seed": -1}),
        json!({"temperature": 1e-30, "seed": u64::MAX}),
        json!({"repetition_penalty": 1.5, "min_tokens": 0}),
        json!({"frequency_penalty": 2, "presence_penalty": -2}),
        json!({"logit_bias": {"1": 100, "2": -100}, "max_tokens": 3.0}),
        json!({"n": 8, "max_tokens": 1}),
        json!({"max_tokens": 10_000_000, "stop": ["e", "a", " "]}),
    ] {
        server.chat(with(question("a"), more)).await.ok();
    }
}

#[tokio::test]
async fn unsupported_features_are_named() {
    let server = TestServer::demo();
    for (name, value) in [
        ("tools", json!([{"type": "function"}])),
        ("tool_choice", json!("required")),
        ("response_format", json!({"type": "json_schema", "json_schema": {"name": "a"}})),
        ("response_format", json!({"type": "xml"})),
        ("response_format", json!("text")),
        ("grammar", json!("root ::= \"a\"")),
        ("json_schema", json!({"not": {"type": "object"}})),
        ("guided_regex", json!("(")),
        ("guided_choice", json!([])),
        ("chat_template", json!("{{ messages }}")),
        ("chat_template_kwargs", json!({"a": 1})),
    ] {
        let error = server.chat(with(question("a"), json!({name: value}))).await.error(400);
        assert_eq!(error["param"], name);
    }
}

/// Random values for all parameters: an answer or a proper error, never a failure of the server.
#[tokio::test]
async fn random_values_never_fail_the_server() {
    let server = TestServer::demo();
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(2.5),
        json!(1e308),
        json!(-1e308),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(""),
        json!("a"),
        json!([]),
        json!([[]]),
        json!([1]),
        json!({}),
        json!({"1": 1}),
        json!({"type": "text"}),
    ];
    let names = [
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "min_tokens",
        "n",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "top_logprobs",
        "logprobs",
        "stream",
        "stream_options",
        "logit_bias",
        "stop",
        "skip_special_tokens",
        "ignore_eos",
        "tools",
        "tool_choice",
        "response_format",
        "json_schema",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "structured_outputs",
        "model",
        "mm_processor_kwargs",
        "add_generation_prompt",
        "continue_final_message",
    ];
    // A linear congruential generator.
    let mut state: u64 = 1;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..400 {
        let mut request = question("a");
        for _ in 0..=random(3) {
            request[names[random(names.len())]] = values[random(values.len())].clone();
        }
        // The answers themselves take too long.
        if request["max_tokens"].is_null() {
            request["max_tokens"] = json!(2);
        }
        let answer = server.chat(request.clone()).await;
        assert!([200, 400].contains(&answer.status.as_u16()), "{request}: {}", answer.text);
    }
}

#[tokio::test]
async fn messages_are_validated_with_their_position() {
    let server = TestServer::demo();
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for (request, param) in [
        (json!({}), "messages"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": "a"}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [[]]}), "messages"),
        (json!({"messages": [{"content": "a"}]}), "messages[0]"),
        (json!({"messages": [{"role": "user"}]}), "messages[0]"),
        (json!({"messages": [{"role": "user", "content": "a"}, {"role": 1, "content": "a"}]}), "messages[1]"),
        (json!({"messages": [{"role": "User<image>", "content": "a"}]}), "messages[0].role"),
        (user(json!([])), "messages[0]"),
        (user(json!(7)), "messages[0]"),
        (
            user(json!([{"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": {}}])),
            "messages[0].content[1]",
        ),
        (user(json!([{"type": "file", "file": {}}])), "messages[0].content[0]"),
        (user(json!([{"type": "text"}])), "messages[0].content[0]"),
        (user(json!([{"type": "image_url"}])), "messages[0].content[0]"),
        (user(json!([{"type": "image_url", "image_url": {"url": 7}}])), "messages[0].content[0]"),
    ] {
        let error = server.chat(request.clone()).await.error(400);
        assert_eq!(error["param"], param, "{request}: {error}");
    }
    let error = server.chat(user(json!([{"type": "input_audio"}]))).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("input_audio"));
}
