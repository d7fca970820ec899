//! The bounded queue and time limits.

use super::support::{Fake, TestServer, endless, outcome, part, question, scripted, until, with};
use crate::config::ServerConfig;
use serde_json::json;
use smolvlm::{Cancel, FinishReason};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn config(parallel: usize, max_queue: usize) -> ServerConfig {
    ServerConfig { parallel, max_queue, ..ServerConfig::default() }
}

#[tokio::test]
async fn a_full_queue_rejects_with_429() {
    let starts = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&starts);
    let server = TestServer::fake(
        config(1, 1),
        Fake(move |_, cancel: &Cancel| {
            seen.fetch_add(1, Ordering::SeqCst);
            Ok(endless(cancel))
        }),
    );
    let mut running = server.open("/v1/chat/completions", &with(question("a"), json!({"stream": true}))).await;
    part(&mut running).await;
    let waiting = server.chat(question("b"));
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());

    let rejected = server.chat(question("c")).await;
    let error = rejected.error(429);
    assert_eq!((&error["type"], &error["code"]), (&json!("rate_limit_error"), &json!("queue_full")));
    assert_eq!(rejected.headers["retry-after"], "1");
    // Nothing of a rejected request is read: this one is invalid.
    server.chat(json!({"messages": 7})).await.error(429);
    // Other routes are not queued.
    server.get("/v1/models").await.ok();
    let metrics = server.get("/metrics").await.text;
    for line in [
        "smolvlm_requests_running 1",
        "smolvlm_requests_waiting 1",
        "smolvlm_requests_rejected_total{reason=\"queue_full\"} 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    assert_eq!(starts.load(Ordering::SeqCst), 1);

    // The waiting request runs as soon as the other one is gone.
    drop(running);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut waiting).await.is_err());
    assert_eq!(starts.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn tokens_of_waiting_requests_are_bounded() {
    let config = ServerConfig { max_queue_tokens: Some(100), ..config(1, 8) };
    let server = TestServer::fake(config, Fake(|_, cancel: &Cancel| Ok(endless(cancel))));
    let request = |tokens: u64| with(question("a"), json!({"max_tokens": tokens, "stream": true}));
    // A request that runs at once does not wait.
    let mut running = server.open("/v1/chat/completions", &request(2000)).await;
    part(&mut running).await;
    let waiting = server.chat(request(60));
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
    assert_eq!(server.chat(request(60)).await.error(429)["code"], "queue_full");
    server.chat(with(question("word ".repeat(60)), json!({"max_tokens": 1}))).await.error(429);
    server.chat(with(request(10), json!({"n": 5}))).await.error(429);
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("smolvlm_requests_rejected_total{reason=\"queue_tokens\"} 3"), "{metrics}");
    let small = server.chat(request(20));
    tokio::pin!(small);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut small).await.is_err());
    // The tokens of a request are free again as soon as it runs.
    drop(running);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut waiting).await.is_err());
    let next = server.chat(request(60));
    tokio::pin!(next);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut next).await.is_err());
}

#[tokio::test]
async fn a_request_that_exceeds_the_token_limit_may_wait_alone() {
    let config = ServerConfig { max_queue_tokens: Some(100), ..config(1, 8) };
    let server = TestServer::fake(config, Fake(|_, cancel: &Cancel| Ok(endless(cancel))));
    let mut running = server.open("/v1/chat/completions", &with(question("a"), json!({"stream": true}))).await;
    part(&mut running).await;
    let waiting = server.chat(with(question("a"), json!({"max_tokens": 1000})));
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
    server.chat(with(question("a"), json!({"max_tokens": 1}))).await.error(429);
}

#[tokio::test]
async fn invalid_requests_leave_their_place() {
    let server = TestServer::fake(config(1, 0), Fake(|_, _| Ok(scripted(vec![Ok(outcome(FinishReason::Eos, 1))]))));
    for _ in 0..5 {
        server.chat(json!({"messages": 7})).await.error(400);
        server.chat(question("a")).await.ok();
        // The slot is free when the worker has ended, shortly after its last event.
        until(|| server.has_place()).await;
    }
}

#[tokio::test]
async fn requests_run_in_order_of_arrival() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let server = TestServer::fake(
        config(1, 8),
        Fake(move |params: smolvlm::SamplingParams, _: &Cancel| {
            seen.lock().unwrap().push(params.max_new_tokens);
            Ok(scripted(vec![Ok(outcome(FinishReason::Eos, 1))]))
        }),
    );
    let answers = (1..=6).map(|tokens| server.chat(with(question("a"), json!({"max_tokens": tokens}))));
    for answer in futures::future::join_all(answers).await {
        answer.ok();
    }
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn no_more_than_the_configured_number_runs_at_once() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, seen) = (Arc::clone(&now), Arc::clone(&most));
    let server = TestServer::fake(
        config(3, 64),
        Fake(move |_, _| {
            seen.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(3));
            counted.fetch_sub(1, Ordering::SeqCst);
            Ok(scripted(vec![Ok(outcome(FinishReason::Eos, 1))]))
        }),
    );
    for answer in futures::future::join_all((0..24).map(|_| server.chat(question("a")))).await {
        answer.ok();
    }
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn an_endless_text_ends_at_the_time_limit() {
    let config = ServerConfig { request_timeout: Duration::from_millis(60), ..config(1, 1) };
    let server = TestServer::fake(config, Fake(|_, cancel: &Cancel| Ok(endless(cancel))));
    let answer = server.chat(question("a")).await.ok();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().starts_with('a'));
}

#[tokio::test]
async fn the_time_limit_includes_the_queue() {
    let config = ServerConfig { request_timeout: Duration::from_millis(60), ..config(1, 1) };
    // Ignores cancellation.
    let server = TestServer::fake(
        config,
        Fake(|_, _| {
            std::thread::sleep(Duration::from_millis(300));
            Ok(scripted(vec![Ok(outcome(FinishReason::Cancelled, 0))]))
        }),
    );
    let (first, second) = tokio::join!(server.chat(question("a")), server.chat(question("b")));
    first.error(504);
    let error = second.error(503);
    assert_eq!(error["code"], "timeout");
    assert_eq!(second.headers["retry-after"], "1");
}

#[tokio::test]
async fn a_stopping_server_is_not_reported_as_a_time_limit() {
    let backend = Fake(|_, cancel: &Cancel| {
        while !cancel.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(smolvlm::Error::Cancelled)
    });
    let server = TestServer::fake(config(1, 0), backend);
    let answer = server.chat(question("a"));
    tokio::pin!(answer);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut answer).await.is_err());
    server.app.abort.send_replace(true);
    assert_eq!(answer.await.error(503)["code"], "draining");
}

#[tokio::test]
async fn repetition_is_ended_unless_configured_otherwise() {
    for loop_guard in [true, false] {
        let config = ServerConfig { loop_guard, ..ServerConfig::default() };
        let server = TestServer::fake(
            config,
            Fake(move |params: smolvlm::SamplingParams, _: &Cancel| {
                assert_eq!(params.loop_guard.is_some(), loop_guard);
                Ok(scripted(vec![Ok(outcome(FinishReason::Repetition, 9))]))
            }),
        );
        assert_eq!(server.chat(question("a")).await.ok()["choices"][0]["finish_reason"], "length");
    }
}

#[tokio::test]
async fn the_memory_of_all_bodies_is_bounded() {
    let config = ServerConfig { max_body_bytes: 1 << 20, max_bodies_bytes: 1 << 20, ..config(1, 8) };
    let server = TestServer::fake(config, Fake(|_, cancel: &Cancel| Ok(endless(cancel))));
    let large = with(question("a"), json!({"stream": true, "ignored": "x".repeat(700_000)}));
    let mut running = server.open("/v1/chat/completions", &large).await;
    part(&mut running).await;
    // Without a length, the largest is assumed.
    server.chat(large.clone()).await.error(429);
    assert!(server.get("/metrics").await.text.contains("rejected_total{reason=\"memory\"} 1"));
    drop(running);
    until(|| server.app.admission.memory(700_000, &server.app.metrics).is_ok()).await;
    let mut running = server.open("/v1/chat/completions", &large).await;
    part(&mut running).await;
}
