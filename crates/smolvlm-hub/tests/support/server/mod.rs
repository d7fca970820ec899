//! A local mock of the Hugging Face Hub over HTTP/1.1, with the paths, headers and redirects of the real one.
//!
//! Like the hub for public repositories, it redirects small files to a path of the same host, and large ones, here
//! `.safetensors`, to a CDN host, with their size and SHA-256 in the redirect. `localhost` stands for the CDN,
//! `127.0.0.1` for the hub.

mod connection;
mod content;
mod message;
pub mod object;

use connection::Connection;
use std::collections::{BTreeMap, HashMap};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// The initial commit of all revisions.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Another commit.
pub const OTHER_COMMIT: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// A captive portal's page.
pub const PAGE: &[u8] = b"<!DOCTYPE html><html><body>Sign in to use this network</body></html>";

/// The range of a file sent in one response.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// First byte.
    pub from: usize,
    /// Number of bytes.
    pub bytes: usize,
}

#[derive(Default)]
struct State {
    repo: String,
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
    requests: Vec<String>,
    served: HashMap<String, Vec<Served>>,
    cuts: HashMap<String, Vec<usize>>,
    failures: HashMap<String, (u16, String, usize)>,
    pages: HashMap<String, u16>,
    slow: HashMap<String, (usize, Duration)>,
    hanging: Option<String>,
    stalls: HashMap<String, usize>,
    token: Option<String>,
    tokens: usize,
    cdn_requests: usize,
    cdn_tokens: usize,
    listing: Option<String>,
    moved_from: Option<String>,
    corrupt: Option<String>,
    ignore_ranges: bool,
    redirect_loop: bool,
    stopped: bool,
}

/// The mock hub. Dropping it stops it.
pub struct HubServer {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl HubServer {
    /// Starts a server for one repository.
    pub fn start(repo: &str, files: Vec<(&str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        let state = State { repo: repo.to_owned(), commit: COMMIT.to_owned(), files, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if lock(&shared).stopped {
                    break;
                }
                let state = Arc::clone(&shared);
                // Each connection has its thread, so that a client's error ends only that.
                thread::spawn(move || stream.and_then(|stream| Connection { state, port }.serve(stream)));
            }
        });
        Self { port, state }
    }

    /// The endpoint for clients.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns method and path of all requests since the last call.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    /// The ranges of a file that were sent.
    pub fn served(&self, file: &str) -> Vec<Served> {
        self.state().served.get(file).cloned().unwrap_or_default()
    }

    /// Sets the commit of all revisions.
    pub fn set_commit(&self, commit: &str) {
        self.state().commit = commit.to_owned();
    }

    /// Sets the contents of a file.
    pub fn set_file(&self, name: &str, bytes: &[u8]) {
        self.state().files.insert(name.to_owned(), bytes.to_vec());
    }

    /// Closes the connections of the next responses with a file's contents after these numbers of bytes.
    pub fn cut(&self, file: &str, after: &[usize]) {
        let mut state = self.state();
        state.served.remove(file);
        state.cuts.insert(file.to_owned(), after.iter().rev().copied().collect());
    }

    /// Responds to the next requests whose path contains this text with a status and an error code.
    pub fn fail(&self, path: &str, status: u16, code: &str, times: usize) {
        self.state().failures.insert(path.to_owned(), (status, code.to_owned(), times));
    }

    /// The number of those responses that are left.
    pub fn failures_left(&self, path: &str) -> usize {
        self.state().failures[path].2
    }

    /// Responds to requests whose path contains this text with an HTML page, as proxies do.
    pub fn show_page(&self, path: &str, status: u16) {
        self.state().pages.insert(path.to_owned(), status);
    }

    /// Sends contents in chunks with a pause after each.
    pub fn slow_down(&self, file: &str, chunks: usize, pause: Duration) {
        self.state().slow.insert(file.to_owned(), (chunks, pause));
    }

    /// Accepts requests whose path contains this text and never responds.
    pub fn hang(&self, path: &str) {
        self.state().hanging = Some(path.to_owned());
    }

    /// Stops sending within a file's contents once, after this many bytes, and keeps the connection open.
    pub fn stall(&self, file: &str, after: usize) {
        self.state().stalls.insert(file.to_owned(), after);
    }

    /// Denies requests to the hub without this token.
    pub fn require_token(&self, token: &str) {
        self.state().token = Some(token.to_owned());
    }

    /// The number of requests with a token.
    pub fn tokens(&self) -> usize {
        self.state().tokens
    }

    /// The number of requests to the CDN.
    pub fn cdn_requests(&self) -> usize {
        self.state().cdn_requests
    }

    /// The number of requests to the CDN with a token.
    pub fn cdn_tokens(&self) -> usize {
        self.state().cdn_tokens
    }

    /// Sets the response to requests for a revision's description.
    pub fn set_listing(&self, text: &str) {
        self.state().listing = Some(text.to_owned());
    }

    /// Redirects an old name of the repository.
    pub fn moved_from(&self, repo: &str) {
        self.state().moved_from = Some(repo.to_owned());
    }

    /// Sends wrong contents of the right length for a file.
    pub fn corrupt(&self, file: &str) {
        self.state().corrupt = Some(file.to_owned());
    }

    /// Ignores range headers and sends whole files.
    pub fn ignore_ranges(&self) {
        self.state().ignore_ranges = true;
    }

    /// Redirects every file to itself.
    pub fn redirect_in_a_loop(&self) {
        self.state().redirect_loop = true;
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.state().stopped = true;
        // The listener checks `stopped` on its next connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
