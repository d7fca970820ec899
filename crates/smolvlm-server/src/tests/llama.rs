//! Tokens, templates and properties.

use super::support::{TestServer, demo, question, shapes};
use crate::config::ServerConfig;
use serde_json::{Value, json};
use smolvlm::processor::RenderOptions;
use smolvlm::{Device, GgufTypes, Options, Preset, SmolVlm, Source, export_gguf};

#[tokio::test]
async fn tokens_round_trip() {
    let server = TestServer::demo();
    for text in ["What is in this picture?", "", "日本 é \u{1f600}", " a  b\n"] {
        let answer = server.post("/tokenize", json!({"content": text}).to_string()).await.ok();
        let tokens = answer["tokens"].clone();
        assert_eq!(answer["count"], tokens.as_array().unwrap().len());
        let answer = server.post("/v1/detokenize", json!({"tokens": tokens}).to_string()).await.ok();
        assert_eq!(answer["content"], text);
        let prompt = server.post("/tokenize", json!({"prompt": text}).to_string()).await.ok();
        assert_eq!(prompt["tokens"], tokens);
        let request = json!({"content": text, "with_pieces": true});
        let pieces = server.post("/tokenize", request.to_string()).await.ok();
        let bytes = pieces["tokens"].as_array().unwrap().iter().flat_map(|token| match &token["piece"] {
            Value::String(text) => text.clone().into_bytes(),
            bytes => serde_json::from_value(bytes.clone()).unwrap(),
        });
        assert_eq!(bytes.collect::<Vec<u8>>(), text.as_bytes());
    }
}

#[tokio::test]
async fn invalid_tokens_are_named() {
    let server = TestServer::demo();
    for (path, body, param) in [
        ("/tokenize", json!({}), "content"),
        ("/tokenize", json!({"content": 7}), "content"),
        ("/tokenize", json!({"content": "a".repeat(2 << 20)}), "content"),
        ("/tokenize", json!({"content": "a", "with_pieces": 1}), "with_pieces"),
        ("/detokenize", json!({}), "tokens"),
        ("/detokenize", json!({"tokens": [-1]}), "tokens"),
        ("/detokenize", json!({"tokens": [4_294_967_295_u32]}), "tokens"),
        ("/detokenize", json!({"tokens": [1.5]}), "tokens"),
    ] {
        assert_eq!(server.post(path, body.to_string()).await.error(400)["param"], param, "{path}");
    }
}

#[tokio::test]
async fn templates_are_applied() {
    let server = TestServer::demo();
    let answer = server.post("/apply-template", question("What?").to_string()).await.ok();
    let conversation = smolvlm::Message::user().string("What?").into();
    let prompt = demo().processor().render(&conversation, &RenderOptions::answer()).unwrap();
    assert_eq!(answer["prompt"], prompt);
    assert_eq!(server.post("/apply-template", "{}").await.error(400)["param"], "messages");
}

#[tokio::test]
async fn input_tokens_are_those_of_the_answer() {
    let server = TestServer::demo();
    let request =
        question(json!([{"type": "image_url", "image_url": {"url": shapes()}}, {"type": "text", "text": "What?"}]));
    let counts = server.post("/v1/chat/completions/input_tokens", request.to_string()).await.ok();
    assert_eq!(counts["seconds"], Value::Null);
    let usage = server.chat(request.clone()).await.ok()["usage"].clone();
    assert_eq!(counts["input_tokens"], usage["prompt_tokens"]);
    assert_eq!(counts["image_tokens"], usage["prompt_tokens_details"]["image_tokens"]);
    assert!(counts["tiles"].as_u64().unwrap() >= 1);
    let measured = server.post("/v1/chat/completions/input_tokens", request.to_string()).await.ok();
    assert!(measured["seconds"].as_f64().unwrap() > 0.0);
    // As long prompts are counted, too.
    let long = server.post("/chat/completions/input_tokens", question("word ".repeat(20_000)).to_string()).await.ok();
    assert!(long["input_tokens"].as_u64().unwrap() > 8192);
}

#[tokio::test]
async fn properties_describe_the_model() {
    let server = TestServer::demo();
    let props = server.get("/props").await.ok();
    let model = server.get("/v1/models").await.ok()["data"][0].clone();
    assert_eq!(props["default_generation_settings"]["n_ctx"], model["max_model_len"]);
    assert_eq!(props["modalities"]["vision"], true);
    assert_eq!(props["media_marker"], "<image>");
    assert_eq!(props["default_prompts"]["image"], "Describe the picture.");
    assert!(props["chat_template"].as_str().unwrap().contains("messages"));
}

#[tokio::test]
async fn text_models_do_not_list_images_and_videos() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("tiny");
    let types = GgufTypes::parse("f32", "f32").unwrap();
    export_gguf(Source::random(Preset::Tiny), &[], types, &folder, &mut |_| {}).unwrap();
    let source = Source::gguf(folder.join("model-F32.gguf"), None);
    let options = Options { device: Device::Flex, threads: Some(1), ..Options::default() };
    let server = TestServer::with(ServerConfig::default(), SmolVlm::load(source, options).unwrap());
    let model = server.get("/v1/models").await.ok()["data"][0].clone();
    assert_eq!(model["architecture"]["input_modalities"], json!(["text"]));
    let modalities = json!({"vision": false, "audio": false, "video": false});
    assert_eq!(server.get("/props").await.ok()["modalities"], modalities);
    let show = server.post("/api/show", json!({"model": "any"}).to_string()).await.ok();
    assert_eq!(show["capabilities"], json!(["completion"]));
    assert_eq!(show["details"]["format"], "gguf");
}
