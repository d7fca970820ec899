//! `detail` and `mm_processor_kwargs`: how the media of a request are processed.

use super::support::{TestServer, shapes, with};
use serde_json::{Value, json};

fn question(detail: Value) -> Value {
    json!({"max_tokens": 1, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": shapes(), "detail": detail}},
        {"type": "text", "text": "What is this?"},
    ]}]})
}

async fn image_tokens(server: &TestServer, request: Value) -> u64 {
    let answer = server.chat(request).await.ok();
    answer["usage"]["prompt_tokens_details"]["image_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn low_detail_is_one_tile() {
    let server = TestServer::demo();
    let low = image_tokens(&server, question(json!("low"))).await;
    let high = image_tokens(&server, question(json!("high"))).await;
    assert!(low > 0 && high > 2 * low, "{low} {high}");
    for detail in [json!("original"), json!("auto"), Value::Null] {
        assert_eq!(image_tokens(&server, question(detail)).await, high);
    }
}

#[tokio::test]
async fn arguments_apply_to_all_messages_and_detail_comes_first() {
    let server = TestServer::demo();
    let low = image_tokens(&server, question(json!("low"))).await;
    let whole = json!({"mm_processor_kwargs": {"do_image_splitting": false}});
    assert_eq!(image_tokens(&server, with(question(Value::Null), whole.clone())).await, low);
    assert!(image_tokens(&server, with(question(json!("high")), whole)).await > low);
    let small = json!({"mm_processor_kwargs": {"size": {"longest_edge": 1}}});
    assert_eq!(image_tokens(&server, with(question(Value::Null), small)).await, low);
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let server = TestServer::demo();
    for (given, param) in [
        (json!({"size": {"longest_edge": 0}}), "mm_processor_kwargs.size.longest_edge"),
        (json!({"size": {"height": 1}}), "mm_processor_kwargs.size.height"),
        (json!({"fps": "1"}), "mm_processor_kwargs.fps"),
        (json!({"num_frames": 1e9}), "mm_processor_kwargs.num_frames"),
        (json!({"do_resize": false}), "mm_processor_kwargs.do_resize"),
        (json!([]), "mm_processor_kwargs"),
    ] {
        let error = server.chat(with(question(Value::Null), json!({"mm_processor_kwargs": given}))).await.error(400);
        assert_eq!(error["param"], param);
    }
    let error = server.chat(question(json!("much"))).await.error(400);
    assert_eq!(error["param"], "messages[0].content[0]");
}
