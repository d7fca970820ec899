//! The API of Ollama.

use super::support::{Answer, TestServer, base64, corpus, demo, question, shapes, with};
use serde_json::{Value, json};

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn expected(server: &TestServer) -> String {
    let text = json!({"type": "text", "text": "Describe this picture."});
    let content = json!([{"type": "image_url", "image_url": {"url": shapes()}}, text]);
    let answer = server.chat(with(question(content), json!({"max_tokens": 20}))).await.ok();
    answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn generate_and_chat_give_the_same_answer() {
    let server = TestServer::demo();
    let text = expected(&server).await;
    let image = base64(&corpus("world/shapes.png"));
    let options = json!({"num_predict": 20, "temperature": 0, "num_ctx": 4096, "unknown": [1]});
    let generate = json!({"model": "any", "prompt": "Describe this picture.", "images": [image], "options": options,
        "keep_alive": "5m", "format": "", "think": false});
    let message = json!({"role": "user", "content": "Describe this picture.", "images": [image]});
    let chat = json!({"model": "any", "messages": [message], "options": options, "tools": []});
    for (path, request) in [("/api/generate", generate), ("/api/chat", chat)] {
        let text_of = |part: &Value| {
            let text = if path == "/api/chat" { &part["message"]["content"] } else { &part["response"] };
            text.as_str().unwrap().to_owned()
        };
        let whole = server.post(path, with(request.clone(), json!({"stream": false})).to_string()).await.ok();
        assert_eq!(text_of(&whole), text);
        assert_eq!(whole["done"], true);
        assert!(["stop", "length"].contains(&whole["done_reason"].as_str().unwrap()));
        for count in ["total_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"] {
            assert!(whole[count].as_u64().is_some_and(|count| count > 0), "{count}: {whole}");
        }
        assert!(whole["created_at"].as_str().unwrap().ends_with('Z'));
        // Streaming is the default.
        let parts = lines(&server.post(path, request.to_string()).await);
        assert!(parts.len() > 2);
        assert_eq!(parts.iter().map(text_of).collect::<String>(), text);
        let (last, rest) = parts.split_last().unwrap();
        assert_eq!((&last["done"], &last["eval_count"]), (&json!(true), &whole["eval_count"]));
        assert!(rest.iter().all(|part| part["done"] == false));
    }
}

#[tokio::test]
async fn requests_without_a_question_load_the_model() {
    let server = TestServer::demo();
    for (path, request) in [
        ("/api/generate", json!({"model": "m"})),
        ("/api/generate", json!({"model": "m", "prompt": []})),
        ("/api/generate", json!({"model": "m", "prompt": ""})),
        ("/api/chat", json!({"model": "m", "messages": []})),
    ] {
        let answer = server.post(path, request.to_string()).await.ok();
        assert_eq!((&answer["done"], &answer["done_reason"]), (&json!(true), &json!("load")), "{request}");
    }
}

#[tokio::test]
async fn errors_are_strings() {
    let server = TestServer::demo();
    let user = |more: Value| with(json!({"messages": [{"role": "user", "content": "a"}]}), more);
    for (path, request, part) in [
        ("/api/chat", user(json!({"options": {"temperature": -1}})), "options.temperature"),
        ("/api/chat", user(json!({"options": {"num_predict": 1.5}})), "options.num_predict"),
        ("/api/chat", user(json!({"options": 7})), "options"),
        ("/api/chat", user(json!({"format": {"not": {}}})), "format"),
        ("/api/chat", user(json!({"format": "xml"})), "format"),
        ("/api/chat", user(json!({"tools": [{}]})), "tools"),
        ("/api/chat", json!({"messages": [{"role": "a<image>", "content": "a"}]}), "role"),
        ("/api/chat", json!({"messages": [{"role": "user", "content": "a", "images": ["!"]}]}), "base64"),
        ("/api/generate", json!({"prompt": 7}), "prompt"),
        ("/api/generate", json!({"prompt": "a", "images": ["AAAA"]}), "image"),
        ("/api/generate", json!({"prompt": "a", "images": "AAAA"}), "images"),
        ("/api/generate", json!({"prompt": "", "raw": {}}), "raw"),
        ("/api/generate", json!({"prompt": "a", "images": [base64(&corpus("world/shapes.png"))], "raw": true}), "raw"),
    ] {
        let answer = server.post(path, request.to_string()).await;
        assert_eq!(answer.status, 400, "{request}: {}", answer.text);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(part), "{request}: {error}");
    }
}

#[tokio::test]
async fn raw_prompts_are_continued_as_they_are() {
    let server = TestServer::demo();
    let completion =
        server.post("/v1/completions", json!({"prompt": "One two", "max_tokens": 3}).to_string()).await.ok();
    let request = json!({"prompt": "One two", "raw": true, "stream": false, "options": {"num_predict": 3}});
    let answer = server.post("/api/generate", request.to_string()).await.ok();
    assert_eq!(answer["response"], completion["choices"][0]["text"]);
    assert_eq!(answer["prompt_eval_count"], completion["usage"]["prompt_tokens"]);
}

#[tokio::test]
async fn the_model_is_described() {
    let server = TestServer::demo();
    let tags = server.get("/api/tags").await.ok();
    assert_eq!(tags["models"][0]["model"], tags["models"][0]["name"]);
    assert_eq!(tags["models"][0]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(tags["models"][0]["size"], demo().weight_bytes());
    assert_eq!(tags["models"][0]["details"]["quantization_level"], demo().format().to_string().to_uppercase());
    let show = server.post("/api/show", json!({"model": "any"}).to_string()).await.ok();
    assert!(show["capabilities"].as_array().unwrap().contains(&json!("vision")));
    assert!(show["model_info"]["smolvlm.context_length"].as_u64().unwrap() > 0);
    assert!(server.get("/api/version").await.ok()["version"].is_string());
    assert_eq!(server.get("/api/ps").await.ok()["models"].as_array().unwrap().len(), 1);
}
