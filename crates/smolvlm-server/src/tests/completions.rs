//! `POST /v1/completions`.

use super::support::{TestServer, question, with};
use serde_json::{Value, json};

fn text(answer: &Value, index: usize) -> &str {
    assert_eq!(answer["choices"][index]["index"], index);
    answer["choices"][index]["text"].as_str().unwrap()
}

async fn complete(server: &TestServer, request: Value) -> Value {
    server.post("/v1/completions", request.to_string()).await.ok()
}

/// The prompt that the template makes of a question.
async fn prompt(server: &TestServer, text: &str) -> String {
    let answer = server.post("/apply-template", question(text).to_string()).await.ok();
    answer["prompt"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn prompts_are_continued_as_they_are() {
    let server = TestServer::demo();
    let raw = prompt(&server, "How many circles?").await;
    let tokens = server.post("/tokenize", json!({"content": raw}).to_string()).await.ok()["tokens"].clone();
    let chat = server.chat(with(question("How many circles?"), json!({"max_tokens": 6}))).await.ok();
    for prompt in [json!(raw), json!([raw]), tokens.clone(), json!([tokens])] {
        let answer = complete(&server, json!({"prompt": prompt, "max_tokens": 6, "best_of": 1})).await;
        assert_eq!(answer["object"], "text_completion");
        // The model generates the space after `Assistant:`.
        assert_eq!(text(&answer, 0), format!(" {}", chat["choices"][0]["message"]["content"].as_str().unwrap()));
        assert_eq!(answer["choices"][0]["finish_reason"], chat["choices"][0]["finish_reason"]);
        for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
            assert_eq!(answer["usage"][count], chat["usage"][count]);
        }
    }
    // Without the template, the same text is another prompt.
    let plain = complete(&server, json!({"prompt": "How many circles?", "max_tokens": 6})).await;
    let tokens = server.post("/tokenize", json!({"content": "How many circles?"}).to_string()).await.ok();
    assert_eq!(plain["usage"]["prompt_tokens"], tokens["count"]);
}

#[tokio::test]
async fn every_prompt_of_a_list_has_its_answers() {
    let server = TestServer::demo();
    let prompts = [prompt(&server, "How many circles?").await, prompt(&server, "Hello").await];
    let mut expected = Vec::new();
    let mut tokens = 0;
    for prompt in &prompts {
        let answer = complete(
            &server,
            json!({"prompt": prompt, "max_tokens": 8, "n": 2, "temperature": 3, "seed": 5, "ignore_eos": true}),
        )
        .await;
        expected.extend([text(&answer, 0).to_owned(), text(&answer, 1).to_owned()]);
        tokens += answer["usage"]["prompt_tokens"].as_u64().unwrap();
    }
    assert_ne!(expected[0], expected[1]);
    let request = json!({"prompt": prompts, "max_tokens": 8, "n": 2, "temperature": 3, "seed": 5, "ignore_eos": true});
    let answer = complete(&server, request.clone()).await;
    let texts: Vec<&str> = (0..4).map(|index| text(&answer, index)).collect();
    assert_eq!(texts, expected);
    assert_eq!(answer["usage"]["prompt_tokens"], tokens);
    let events = server.post("/v1/completions", with(request, json!({"stream": true})).to_string()).await.events();
    for (index, expected) in expected.iter().enumerate() {
        let of_index = events.iter().filter(|event| event["choices"][0]["index"] == index);
        let streamed: String = of_index.filter_map(|event| event["choices"][0]["text"].as_str()).collect();
        assert_eq!(&streamed, expected);
    }
}

#[tokio::test]
async fn tokens_of_streamed_texts_concatenate() {
    let server = TestServer::demo();
    let raw = prompt(&server, "How many circles?").await;
    let request = json!({"prompt": raw, "max_tokens": 12, "logprobs": 2, "ignore_eos": true});
    let whole = complete(&server, request.clone()).await;
    let stop: String = text(&whole, 0).trim().chars().skip(1).take(2).collect();
    assert!(!stop.is_empty());
    for more in [json!({}), json!({"stop": stop}), json!({"skip_special_tokens": false})] {
        let request = with(request.clone(), more);
        let answer = complete(&server, request.clone()).await;
        let tokens = |logprobs: &Value| -> Vec<String> { serde_json::from_value(logprobs["tokens"].clone()).unwrap() };
        let logprobs = &answer["choices"][0]["logprobs"];
        let whole = tokens(logprobs);
        assert_eq!(whole.concat(), text(&answer, 0));
        for list in ["token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(logprobs[list].as_array().unwrap().len(), whole.len());
        }
        let streamed = with(request, json!({"stream": true, "stream_options": {"include_usage": true}}));
        let events = server.post("/completions", streamed.to_string()).await.events();
        let mut offsets = Vec::new();
        let mut seen = Vec::new();
        for choice in events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["logprobs"].is_object()) {
            let tokens = tokens(&choice["logprobs"]);
            assert_eq!(tokens.concat(), choice["text"].as_str().unwrap());
            offsets.extend(choice["logprobs"]["text_offset"].as_array().unwrap().clone());
            seen.extend(tokens);
        }
        assert_eq!(seen, whole);
        assert_eq!(json!(offsets), logprobs["text_offset"]);
        assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], answer["usage"]["completion_tokens"]);
        assert!(events.last().unwrap()["timings"].is_object());
    }
}

#[tokio::test]
async fn prompts_are_echoed_and_lengths_have_two_names() {
    let server = TestServer::demo();
    let tokens = server.post("/tokenize", json!({"content": "One two"}).to_string()).await.ok()["tokens"].clone();
    let plain = complete(&server, json!({"prompt": "One two", "n_predict": 3, "ignore_eos": true})).await;
    assert_eq!(plain["usage"]["completion_tokens"], 3);
    for prompt in [json!("One two"), tokens] {
        let request = json!({"prompt": prompt, "n_predict": 3, "ignore_eos": true, "echo": true});
        let answer = complete(&server, request.clone()).await;
        assert_eq!(text(&answer, 0), format!("One two{}", text(&plain, 0)));
        let events = server.post("/v1/completions", with(request, json!({"stream": true})).to_string()).await.events();
        assert_eq!(events[0]["choices"][0]["text"], "One two");
    }
    let unlimited = json!({"prompt": prompt(&server, "a").await, "n_predict": -1, "max_tokens": 1});
    assert!(complete(&server, unlimited).await["usage"]["completion_tokens"].as_u64().unwrap() > 1);
}

#[tokio::test]
async fn invalid_prompts_are_named() {
    let server = TestServer::demo();
    let base = json!({"prompt": "a", "max_tokens": 1});
    for (more, param) in [
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": [""]}), "prompt"),
        (json!({"prompt": [[]]}), "prompt"),
        (json!({"prompt": ["a", ""]}), "prompt"),
        (json!({"prompt": [1, -2]}), "prompt"),
        (json!({"prompt": [1, "a"]}), "prompt"),
        (json!({"prompt": [1_000_000]}), "prompt"),
        (json!({"prompt": [[1], [1_000_000]]}), "prompt"),
        (json!({"prompt": {"text": "a"}}), "prompt"),
        (json!({"prompt": vec!["a"; 9]}), "prompt"),
        (json!({"prompt": vec!["a"; 5], "n": 2}), "prompt"),
        // Image tokens without an image.
        (json!({"prompt": "What is <image>?"}), "prompt"),
        (json!({"prompt": "word ".repeat(20_000)}), "prompt"),
        (json!({"prompt": "a".repeat(2 << 20)}), "prompt"),
        (json!({"echo": 1}), "echo"),
        (json!({"echo": true, "logprobs": 0}), "echo"),
        (json!({"n_predict": 0}), "n_predict"),
        (json!({"n_predict": -2}), "n_predict"),
        (json!({"suffix": "b"}), "suffix"),
        (json!({"best_of": 20}), "best_of"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"n": 100}), "n"),
    ] {
        let request: Value = with(base.clone(), more);
        let error = server.post("/v1/completions", request.to_string()).await.error(400);
        assert_eq!(error["param"], param, "{error}");
    }
    let long = json!({"prompt": "word ".repeat(20_000)});
    let error = server.post("/v1/completions", long.to_string()).await.error(400);
    assert_eq!(error["type"], "exceed_context_size_error");
}
