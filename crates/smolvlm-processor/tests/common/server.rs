//! An in-process HTTP server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The requested paths, in order.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Answers every request with `answer(path, connection)` in a separate thread; returns the base URL.
pub fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> String {
    serve_on("127.0.0.1", answer).0
}

/// [`serve`] on a given local address; also returns the requested paths.
pub fn serve_on(host: &str, answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> (String, Requests) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, answer) = (Requests::default(), Arc::new(answer));
    let seen = requests.clone();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let (seen, answer) = (seen.clone(), answer.clone());
            thread::spawn(move || {
                let mut request = [0; 2048];
                let length = connection.read(&mut request).unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
                seen.0.lock().unwrap().push(path.clone());
                answer(&path, &mut connection);
            });
        }
    });
    (format!("http://{address}"), requests)
}

pub fn reply(connection: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    drop(connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(body)));
}
