//! The examples of the model's documentation page, verbatim: from a conversation in JSON to the reference's answer.

use serde_json::{Value, json};
use smolvlm::processor::RenderOptions;
use smolvlm::{Conversation, SmolVlm, Source};
use smolvlm_tests::{checkpoints, exact, golden_root, read_json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// Serves the golden images, one request per connection; returns the server's URL.
fn media_server() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let name = request[0].split(' ').nth(1).unwrap().trim_start_matches('/');
            let body = std::fs::read(golden_root().join("media").join(name)).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    url
}

/// Parses the conversations, with URLs of the server and absolute paths.
fn conversations(case: &Value, server: &str) -> Vec<Conversation> {
    let mut value = case["conversations"].clone();
    let messages = value.as_array_mut().unwrap().iter_mut().flat_map(|messages| messages.as_array_mut().unwrap());
    for item in messages.filter_map(|message| message["content"].as_array_mut()).flatten() {
        if let Some(url) = item["url"].as_str() {
            item["url"] = url.replace("{server}", server).into();
        }
        if let Some(path) = item["path"].as_str() {
            item["path"] = golden_root().join(path).to_string_lossy().into();
        }
    }
    Conversation::many_from_json(&value.to_string()).unwrap()
}

#[test]
fn documented_examples() {
    let checkpoint = checkpoints().into_iter().find(|checkpoint| checkpoint.name == "gqa-256m").unwrap();
    let model = SmolVlm::load(Source::directory(checkpoint.model()), exact()).unwrap();
    let server = media_server();
    let cases = read_json(&golden_root().join("examples/examples.json"));
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let name = &case["name"];
        let has_video = case["conversations"].to_string().contains("\"video\"");
        if has_video && !cfg!(feature = "video") {
            continue;
        }
        let conversations = conversations(case, &server);
        let batch = model.processor().process(&conversations, &RenderOptions::answer()).unwrap();
        assert_eq!(json!(batch.prompts), case["prompts"], "{name}");
        let ids: Vec<&[u32]> = batch.input_ids.chunks(batch.len).collect();
        assert_eq!(json!(ids), case["input_ids"], "{name}");
        let answers = model.batch(&conversations, model.sampling().max_new_tokens(12)).unwrap();
        let tokens: Vec<&[u32]> = answers.iter().map(|answer| &*answer.token_ids).collect();
        assert_eq!(json!(tokens), case["generated"], "{name}");
        let texts: Vec<&str> = answers.iter().map(|answer| &*answer.text).collect();
        assert_eq!(json!(texts), case["text"], "{name}");
    }
}
