//! A server on a port: streams, clients that leave, stopping.

use super::support::{Fake, demo, endless, outcome, scripted};
use crate::backend::{BackendEvent, Events};
use crate::config::ServerConfig;
use crate::server::{Server, Stop};
use crate::state::Model;
use smolvlm::{Cancel, FinishReason};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

const STREAM: &str = r#"{"messages": [{"role": "user", "content": "a"}], "stream": true}"#;
const WHOLE: &str = r#"{"messages": [{"role": "user", "content": "a"}]}"#;

struct TestRun {
    address: SocketAddr,
    stop: Stop,
    thread: JoinHandle<Result<(), crate::Error>>,
}

/// Starts a server whose backend calls a function.
fn start(
    config: ServerConfig,
    backend: impl Fn(&Cancel) -> Result<Events, smolvlm::Error> + Send + Sync + 'static,
) -> TestRun {
    let server = Server::bind(ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..config }).unwrap();
    server
        .app
        .set_model(Model { backend: Box::new(Fake(move |_, cancel: &Cancel| backend(cancel))), ..Model::new(demo()) });
    let (address, stop) = (server.address(), server.stop_handle());
    let thread = thread::spawn(move || server.run(|| Ok(demo())));
    TestRun { address, stop, thread }
}

impl TestRun {
    fn post(&self, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}",
            self.address
        )
        .unwrap();
        stream
    }

    fn ask(&self, body: &str) -> String {
        let mut text = String::new();
        self.post(body).read_to_string(&mut text).unwrap();
        text
    }
}

/// Reads lines until one starts with `start`.
fn skip_to(stream: &TcpStream, start: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with(start)), "{start}");
}

fn short() -> Events {
    scripted(vec![Ok(BackendEvent::Text("b".to_owned())), Ok(outcome(FinishReason::Eos, 1))])
}

#[test]
fn a_closed_connection_cancels_its_generation() {
    let (sender, cancels) = mpsc::channel();
    let server = start(ServerConfig { parallel: 1, ..ServerConfig::default() }, move |cancel| {
        let _ = sender.send(cancel.clone());
        Ok(endless(cancel))
    });
    for body in [STREAM, WHOLE] {
        let stream = server.post(body);
        if body == STREAM {
            skip_to(&stream, "data: ");
        }
        let cancel = cancels.recv().unwrap();
        assert!(!cancel.is_cancelled());
        drop(stream);
        while !cancel.is_cancelled() {
            thread::sleep(Duration::from_millis(2));
        }
    }
    server.stop.stop();
    server.thread.join().unwrap().unwrap();
}

#[test]
fn stopping_finishes_running_requests() {
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (started, starts) = mpsc::channel();
    let server = start(ServerConfig::default(), move |_| {
        let _ = started.send(());
        let _ = wait.lock().unwrap().recv();
        Ok(short())
    });
    let mut running = server.post(WHOLE);
    starts.recv().unwrap();
    server.stop.stop();
    // New connections are refused.
    while TcpStream::connect(server.address).is_ok() {
        thread::sleep(Duration::from_millis(2));
    }
    release.send(()).unwrap();
    let mut text = String::new();
    running.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("\"content\":\"b\""), "{text}");
    server.thread.join().unwrap().unwrap();
}

#[test]
fn stopping_cancels_requests_that_take_too_long() {
    let config = ServerConfig { drain_timeout: Duration::from_millis(20), ..ServerConfig::default() };
    let server = start(config, |cancel| Ok(endless(cancel)));
    let mut stream = server.post(STREAM);
    skip_to(&stream, "data: ");
    server.stop.stop();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"finish_reason\":\"length\"") && rest.contains("[DONE]"), "{rest}");
    server.thread.join().unwrap().unwrap();
}

#[test]
fn dead_and_broken_clients_do_not_block_others() {
    let config = ServerConfig { parallel: 1, max_queue: 0, ..ServerConfig::default() };
    let server = start(config, |_| Ok(short()));
    let mut open = Vec::new();
    for start in ["", "POST", "GET / HTTP/1.1\r\nHost: ", "\u{0}\u{1}\u{2}\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        open.push(stream);
    }
    // A body that never ends takes no place in the queue.
    let mut slow = TcpStream::connect(server.address).unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    assert!(server.ask(WHOLE).starts_with("HTTP/1.1 200 OK"));
    drop(open);
    server.stop.stop();
    drop(slow);
    server.thread.join().unwrap().unwrap();
}

#[test]
fn a_used_port_is_an_error() {
    let first = Server::bind(ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() }).unwrap();
    let config = ServerConfig { address: first.address(), ..ServerConfig::default() };
    let Err(error) = Server::bind(config) else { panic!("bound twice") };
    assert!(error.to_string().contains("--port"), "{error}");
}

#[test]
fn errors_of_loading_are_returned() {
    let server = Server::bind(ServerConfig { address: ([127, 0, 0, 1], 0).into(), ..ServerConfig::default() }).unwrap();
    let error = server.run(|| Err(crate::Error::Config { option: "model", problem: "is missing".to_owned() }));
    assert_eq!(error.unwrap_err().to_string(), "model is missing");
}

#[test]
fn idle_connections_make_room_for_others() {
    let config =
        ServerConfig { max_connections: 2, head_timeout: Duration::from_millis(200), ..ServerConfig::default() };
    let server = start(config, |_| Ok(short()));
    let open: Vec<TcpStream> = ["", "POST /v1/chat"]
        .iter()
        .map(|start| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(start.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert!(server.ask(WHOLE).starts_with("HTTP/1.1 200 OK"));
    for mut stream in open {
        // Closed by the server.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
    server.stop.stop();
    server.thread.join().unwrap().unwrap();
}
