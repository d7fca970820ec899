//! Structured output.

use super::support::{TestServer, question, with};
use serde_json::{Value, json};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
            "shape": {"enum": ["circle", "square"]},
        },
        "required": ["count", "shape"],
        "additionalProperties": false,
    })
}

fn assert_valid(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!((0..100).contains(&value["count"].as_i64().unwrap()), "{text}");
    assert!(["circle", "square"].contains(&value["shape"].as_str().unwrap()), "{text}");
    assert_eq!(value.as_object().unwrap().len(), 2, "{text}");
}

#[tokio::test]
async fn chat_answers_are_valid_for_the_schema() {
    let server = TestServer::demo();
    for format in [
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema()}}}),
        json!({"response_format": {"type": "json_object", "schema": schema()}}),
        json!({"json_schema": schema()}),
        json!({"guided_json": schema().to_string()}),
        json!({"structured_outputs": {"json": schema()}}),
        json!({"guided_json": schema(), "temperature": 1.5, "seed": 3, "logprobs": true}),
    ] {
        let request = with(question("How many circles?"), json!({"max_tokens": 64}));
        let answer = server.chat(with(request, format)).await.ok();
        assert_valid(answer["choices"][0]["message"]["content"].as_str().unwrap());
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn streamed_answers_are_those_of_the_whole() {
    let server = TestServer::demo();
    let request = with(question("How many circles?"), json!({"guided_json": schema(), "max_tokens": 64}));
    let whole = server.chat(request.clone()).await.ok();
    let events = server.chat(with(request, json!({"stream": true}))).await.events();
    let deltas = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    assert_eq!(deltas.collect::<String>(), whole["choices"][0]["message"]["content"].as_str().unwrap());
}

#[tokio::test]
async fn texts_match_choices_and_regular_expressions() {
    let server = TestServer::demo();
    let answer = server.chat(with(question("Which?"), json!({"guided_choice": ["left", "right"]}))).await.ok();
    assert!(["left", "right"].contains(&answer["choices"][0]["message"]["content"].as_str().unwrap()));
    let lark = "%llguidance {}\nstart: \"a\" | \"b\"";
    for (field, regex) in [("guided_regex", "[0-9]{3}"), ("grammar", lark)] {
        let request = json!({"prompt": "Number:", field: regex});
        let answer = server.post("/v1/completions", request.to_string()).await.ok();
        let text = answer["choices"][0]["text"].as_str().unwrap();
        assert!(text.len() == 3 && text.parse::<u32>().is_ok() || ["a", "b"].contains(&text), "{text}");
    }
}

#[tokio::test]
async fn ollama_answers_are_valid_for_the_format() {
    let server = TestServer::demo();
    let request = json!({"messages": [{"role": "user", "content": "How many?"}], "stream": false, "format": schema()});
    let answer = server.post("/api/chat", request.to_string()).await.ok();
    assert_valid(answer["message"]["content"].as_str().unwrap());
    assert_eq!(answer["done_reason"], "stop");
    let request = json!({"prompt": "How many?", "stream": false, "format": schema()});
    assert_valid(server.post("/api/generate", request.to_string()).await.ok()["response"].as_str().unwrap());
}

#[tokio::test]
async fn constraints_that_cannot_be_used_are_named() {
    let server = TestServer::demo();
    for (request, param, part) in [
        (json!({"guided_json": {"type": "array", "uniqueItems": true}}), "guided_json", "uniqueItems"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"if": {}}}}}),
            "response_format",
            "if",
        ),
        (json!({"guided_regex": "("}), "guided_regex", "guided_regex"),
        (json!({"guided_regex": "((a{999}){999}){999}"}), "guided_regex", "guided_regex"),
        (json!({"grammar": "root ::= \"a\""}), "grammar", "GBNF"),
        (json!({"guided_grammar": "start: missing"}), "guided_grammar", "missing"),
    ] {
        let error = server.chat(with(question("a"), request)).await.error(400);
        assert_eq!(error["param"], param, "{error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
}

#[tokio::test]
async fn bans_that_leave_no_token_name_the_constraint() {
    let server = TestServer::demo();
    let bans: Vec<(usize, i32)> = (0..server.app.ready().unwrap().vocabulary()).map(|id| (id, -100)).collect();
    let request = with(question("Which?"), json!({"guided_choice": ["7", "8"], "logit_bias": bans}));
    assert_eq!(server.chat(request).await.error(400)["param"], "guided_choice");
}
