//! Messages of the assistant that are continued (`continue_final_message`).

use super::support::{TestServer, shapes, with};
use serde_json::{Value, json};

/// A question about an image with the start of an answer.
fn request(start: impl Into<Value>, more: Value) -> Value {
    let content = json!([
        {"type": "image_url", "image_url": {"url": shapes()}},
        {"type": "text", "text": "Describe this picture."},
    ]);
    let messages = json!([{"role": "user", "content": content}, {"role": "assistant", "content": start.into()}]);
    with(json!({"messages": messages, "max_tokens": 60}), more)
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap()
}

#[tokio::test]
async fn the_last_message_is_continued() {
    let server = TestServer::demo();
    let mut question = request("", json!({}));
    question["messages"].as_array_mut().unwrap().pop();
    let whole = server.chat(question).await.ok();
    let (start, rest) = content(&whole).split_at(content(&whole).find(' ').unwrap());
    let continues = json!({"continue_final_message": true, "add_generation_prompt": false});
    for start in [json!(start), json!([{"type": "text", "text": start}])] {
        let answer = server.chat(request(start.clone(), continues.clone())).await.ok();
        assert_eq!(content(&answer), rest);
        let streamed = server.chat(request(start, with(continues.clone(), json!({"stream": true})))).await.events();
        let text: String =
            streamed.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, rest);
    }
    // The other flag alone is optional; without both, the message is complete.
    let implied = server.chat(request(start, json!({"continue_final_message": true}))).await.ok();
    assert_eq!(content(&implied), rest);
    let counts = server.post("/v1/chat/completions/input_tokens", request(start, continues).to_string()).await.ok();
    assert_eq!(counts["input_tokens"], implied["usage"]["prompt_tokens"]);
    let answered = server.chat(request(start, json!({"max_tokens": 1}))).await.ok();
    assert!(answered["usage"]["prompt_tokens"].as_u64() > implied["usage"]["prompt_tokens"].as_u64());
}

#[tokio::test]
async fn prompts_end_where_the_flags_say() {
    let server = TestServer::demo();
    let prompt = async |more: Value| {
        let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}]);
        let request = with(json!({"messages": messages}), more).to_string();
        server.post("/apply-template", request).await.ok()["prompt"].as_str().unwrap().to_owned()
    };
    assert!(prompt(json!({})).await.ends_with("Assistant: Hel<end_of_utterance>\nAssistant:"));
    assert!(prompt(json!({"add_generation_prompt": false})).await.ends_with("Assistant: Hel<end_of_utterance>\n"));
    assert!(prompt(json!({"continue_final_message": true})).await.ends_with("Assistant: Hel"));
}

#[tokio::test]
async fn flags_that_contradict_each_other_are_named() {
    let server = TestServer::demo();
    let both = json!({"continue_final_message": true, "add_generation_prompt": true});
    let user = json!({"messages": [{"role": "user", "content": "a"}], "continue_final_message": true});
    for request in [
        request("a", both),
        user,
        request("a", json!({"continue_final_message": 1})),
        json!({"messages": [{"role": "user", "content": "a"}], "continue_final_message": "yes"}),
    ] {
        assert_eq!(server.chat(request.clone()).await.error(400)["param"], "continue_final_message", "{request}");
    }
    let flag = request("a", json!({"add_generation_prompt": 0}));
    assert_eq!(server.chat(flag).await.error(400)["param"], "add_generation_prompt");
    // A message without text.
    let image = json!([{"type": "image_url", "image_url": {"url": shapes()}}]);
    let error = server.chat(request(image, json!({"continue_final_message": true}))).await.error(400);
    assert_eq!(error["param"], "messages[1]");
}
