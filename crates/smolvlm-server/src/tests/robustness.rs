//! Failures of one request do not reach the others.

use super::support::{Fake, TestServer, outcome, question, scripted, until, with};
use crate::backend::{BackendEvent, Events};
use crate::config::ServerConfig;
use serde_json::json;
use smolvlm::{Cancel, FinishReason};

/// Panics where the parameters say so, otherwise answers.
fn panics() -> Fake<impl Fn(smolvlm::SamplingParams, &Cancel) -> Result<Events, smolvlm::Error>> {
    Fake(|params: smolvlm::SamplingParams, _: &Cancel| match params.max_new_tokens {
        1 => panic!("injected"),
        2 => {
            let events = std::iter::once(Ok(BackendEvent::Text("a".to_owned())));
            let events = events.chain(std::iter::once_with(|| panic!("injected")));
            Ok(Box::new(events) as Events)
        }
        // Ends without a result.
        3 => Ok(scripted(Vec::new())),
        _ => Ok(scripted(vec![Ok(BackendEvent::Text("b".to_owned())), Ok(outcome(FinishReason::Eos, 1))])),
    })
}

#[tokio::test]
async fn a_panic_fails_only_its_own_request() {
    let config = ServerConfig { parallel: 1, max_queue: 0, ..ServerConfig::default() };
    let server = TestServer::fake(config, panics());
    for tokens in [1, 2, 3] {
        let answer = server.chat(with(question("a"), json!({"max_tokens": tokens}))).await;
        assert_eq!(answer.error(500)["type"], "server_error");
        assert!(!answer.text.contains("injected"));
        // The slot is free again.
        until(|| server.has_place()).await;
        let answer = server.chat(question("a")).await.ok();
        assert_eq!(answer["choices"][0]["message"]["content"], "b");
        until(|| server.has_place()).await;
    }
    let stream = server.chat(with(question("a"), json!({"max_tokens": 2, "stream": true}))).await;
    assert!(stream.text.contains("\"a\"") && stream.text.trim_end().ends_with('}'), "{}", stream.text);
    assert!(stream.text.contains("server_error"));
}

#[tokio::test]
async fn requests_at_once_have_the_answers_of_requests_alone() {
    let server = TestServer::demo();
    let questions: Vec<_> =
        (1..=8).map(|count| with(question("word ".repeat(count * 7)), json!({"max_tokens": 12}))).collect();
    let mut alone = Vec::new();
    for question in &questions {
        alone.push(server.chat(question.clone()).await.ok()["choices"].clone());
    }
    let together = futures::future::join_all(questions.iter().map(|question| server.chat(question.clone()))).await;
    let together: Vec<_> = together.iter().map(|answer| answer.ok()["choices"].clone()).collect();
    assert_eq!(together, alone);
}
