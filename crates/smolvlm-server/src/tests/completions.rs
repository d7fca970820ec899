//! `POST /v1/completions`.

use super::support::{TestServer, question, with};
use serde_json::{Value, json};

#[tokio::test]
async fn prompts_are_answered_as_messages() {
    let server = TestServer::demo();
    let content = json!([{"type": "text", "text": "What is this?"}]);
    let chat = server.chat(with(question(content), json!({"max_tokens": 6}))).await.ok();
    for prompt in [json!("What is this?"), json!(["What is this?"])] {
        let request = json!({"prompt": prompt, "max_tokens": 6, "logprobs": 2, "best_of": 1});
        let answer = server.post("/v1/completions", request.to_string()).await.ok();
        assert_eq!(answer["object"], "text_completion");
        let choice = &answer["choices"][0];
        assert_eq!(choice["text"], chat["choices"][0]["message"]["content"]);
        assert_eq!(choice["finish_reason"], chat["choices"][0]["finish_reason"]);
        assert_eq!(answer["usage"], chat["usage"]);
        let logprobs = &choice["logprobs"];
        let tokens: Vec<&str> = logprobs["tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        assert_eq!(tokens.concat(), choice["text"].as_str().unwrap());
        for list in ["token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(logprobs[list].as_array().unwrap().len(), tokens.len());
        }
        let streamed = with(request, json!({"stream": true, "stream_options": {"include_usage": true}}));
        let events = server.post("/completions", streamed.to_string()).await.events();
        let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
        assert_eq!(choice["text"], text);
        assert_eq!(events.last().unwrap()["usage"], answer["usage"]);
    }
}

#[tokio::test]
async fn unsupported_prompts_are_named() {
    let server = TestServer::demo();
    let base = json!({"prompt": "a", "max_tokens": 1});
    for (more, param) in [
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": [1, 2]}), "prompt"),
        (json!({"prompt": ["a", "b"]}), "prompt"),
        (json!({"echo": true}), "echo"),
        (json!({"suffix": "b"}), "suffix"),
        (json!({"best_of": 20}), "best_of"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"n": 100}), "n"),
    ] {
        let request: Value = with(base.clone(), more);
        let error = server.post("/v1/completions", request.to_string()).await.error(400);
        assert_eq!(error["param"], param, "{request}");
    }
}
