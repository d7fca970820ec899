//! A local mock of the Hugging Face Hub over HTTP/1.1, with the paths, headers and redirects of the real one.
//!
//! Like the hub for public repositories, it redirects small files to a path of the same host, and large ones, here
//! `.safetensors`, to a CDN host, with their size and SHA-256 in the redirect. `localhost` stands for the CDN,
//! `127.0.0.1` for the hub.

use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
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

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// Name and bytes of the file, and the first byte to send.
    contents: Option<(String, Vec<u8>, usize)>,
}

impl Response {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), contents: None }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn redirect(to: impl ToString) -> Self {
        Self::new(307).with("Location", to)
    }

    fn error(status: u16, code: &str) -> Self {
        let response = Self::new(status);
        if code.is_empty() { response } else { response.with("X-Error-Code", code) }
    }
}

struct Connection {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Connection {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = read_request(&mut reader)? {
            let response = {
                let mut state = lock(&self.state);
                if state.stopped {
                    return Ok(());
                }
                state.requests.push(format!("{} {}", request.method, request.path));
                if state.hanging.as_ref().is_some_and(|path| request.path.contains(path)) {
                    drop(state);
                    // Until the client closes the connection.
                    return reader.read_to_end(&mut Vec::new()).map(drop);
                }
                self.response(&mut state, &request)
            };
            if !self.send(&stream, &request, response)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn response(&self, state: &mut State, request: &Request) -> Response {
        let path = request.path.as_str();
        state.tokens += usize::from(request.headers.contains_key("authorization"));
        let cdn = path.starts_with("/cdn/");
        if cdn {
            state.cdn_requests += 1;
            state.cdn_tokens += usize::from(request.headers.contains_key("authorization"));
            assert!(request.headers["host"].starts_with("localhost:"), "requests to the CDN use its host name");
        }
        for (text, (status, code, times)) in &mut state.failures {
            if *times > 0 && path.contains(text.as_str()) {
                *times -= 1;
                return Response::error(*status, code);
            }
        }
        if let Some((_, &status)) = state.pages.iter().find(|(text, _)| path.contains(text.as_str())) {
            return Response { contents: Some((String::new(), PAGE.to_vec(), 0)), ..Response::new(status) };
        }
        if let Some(token) = &state.token
            && !cdn
            && request.headers.get("authorization") != Some(&format!("Bearer {token}"))
        {
            return Response::error(401, "RepoNotFound");
        }
        if let Some(old) = &state.moved_from
            && path.contains(old.as_str())
        {
            return Response::redirect(path.replace(old.as_str(), &state.repo));
        }
        let listing = format!("/api/models/{}/revision/", state.repo);
        let tree = format!("/api/models/{}/tree/{}?", state.repo, state.commit);
        let resolve = format!("/{}/resolve/{}/", state.repo, state.commit);
        if let Some(revision) = path.strip_prefix(&listing) {
            describe(state, revision)
        } else if path.starts_with(&tree) {
            list(state)
        } else if path.starts_with("/api/models/") {
            Response::error(404, "RepoNotFound")
        } else if let Some(file) = path.strip_prefix(&resolve) {
            self.resolve(state, path, file)
        } else if let Some(file) = path.strip_prefix("/cdn/").or_else(|| path.strip_prefix("/api/resolve-cache/")) {
            contents(state, request, file.split('?').next().unwrap_or_default())
        } else {
            Response::error(404, "EntryNotFound")
        }
    }

    /// Redirects to a file, with its etag.
    fn resolve(&self, state: &State, path: &str, file: &str) -> Response {
        let Some(bytes) = state.files.get(file) else { return Response::error(404, "EntryNotFound") };
        let response = if state.redirect_loop {
            Response::redirect(path)
        } else if is_large(file) {
            Response::redirect(format!("http://localhost:{}/cdn/{file}?Signature=secret", self.port))
                .with("X-Linked-Etag", format!("\"{}\"", sha256(bytes)))
                .with("X-Linked-Size", bytes.len())
        } else {
            Response::redirect(format!("/api/resolve-cache/{file}?etag=x"))
                .with("X-Linked-Etag", format!("\"{}\"", git_id(bytes)))
        };
        response.with("X-Repo-Commit", &state.commit)
    }

    /// Sends a response. Returns whether the connection stays open.
    fn send(&self, mut stream: &TcpStream, request: &Request, response: Response) -> std::io::Result<bool> {
        let (name, bytes, from) = response.contents.unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", response.status, bytes.len() - from);
        for (name, value) in response.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        if request.method == "HEAD" {
            return Ok(true);
        }
        let (cut, stalls, (chunks, pause)) = {
            let mut state = lock(&self.state);
            let stall = state.stalls.remove(&name);
            let cut = stall.or_else(|| state.cuts.get_mut(&name).and_then(Vec::pop));
            let sent = cut.unwrap_or(bytes.len() - from).min(bytes.len() - from);
            if !name.is_empty() {
                state.served.entry(name.clone()).or_default().push(Served { from, bytes: sent });
            }
            (cut.map(|_| sent), stall.is_some(), state.slow.get(&name).copied().unwrap_or((1, Duration::ZERO)))
        };
        let end = cut.map_or(bytes.len(), |sent| from + sent);
        for chunk in bytes[from..end].chunks((end - from).div_ceil(chunks).max(1)) {
            stream.write_all(chunk)?;
            thread::sleep(pause);
        }
        if stalls {
            // Until the client closes the connection.
            stream.read_to_end(&mut Vec::new())?;
        }
        Ok(cut.is_none())
    }
}

/// Lists the git objects of the commit, with an LFS pointer for each `.safetensors` file.
fn list(state: &State) -> Response {
    let entry = |(path, bytes): (&String, &Vec<u8>)| {
        if !is_large(path) {
            return json!({"type": "file", "oid": git_id(bytes), "size": bytes.len(), "path": path});
        }
        let (size, sha256) = (bytes.len(), sha256(bytes));
        let pointer = pointer(bytes);
        let lfs = json!({"oid": sha256, "size": size, "pointerSize": pointer.len()});
        json!({"type": "file", "oid": git_id(&pointer), "size": size, "lfs": lfs, "path": path})
    };
    let mut entries: Vec<_> = state.files.iter().map(entry).collect();
    entries.push(json!({"type": "directory", "oid": COMMIT, "size": 0, "path": "onnx"}));
    let text = serde_json::Value::from(entries).to_string();
    Response { contents: Some((String::new(), text.into_bytes(), 0)), ..Response::new(200) }
}

fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors")
}

fn describe(state: &State, revision: &str) -> Response {
    if revision == "nowhere" {
        return Response::error(404, "RevisionNotFound");
    }
    let siblings: Vec<_> = state.files.keys().map(|name| json!({"rfilename": name})).collect();
    let description = json!({"id": state.repo, "sha": state.commit, "siblings": siblings}).to_string();
    let text = state.listing.clone().unwrap_or(description);
    Response { contents: Some((String::new(), text.into_bytes(), 0)), ..Response::new(200) }
}

fn contents(state: &State, request: &Request, file: &str) -> Response {
    let Some(bytes) = state.files.get(file) else { return Response::error(404, "EntryNotFound") };
    let mut bytes = bytes.clone();
    let etag = format!("\"{}\"", git_id(&bytes));
    if state.corrupt.as_deref() == Some(file) {
        bytes[0] ^= 1;
    }
    let range = request.headers.get("range").filter(|_| !state.ignore_ranges);
    let response = match range {
        Some(range) => {
            let from: usize = range.strip_prefix("bytes=").unwrap().split('-').next().unwrap().parse().unwrap();
            if from >= bytes.len() {
                return Response::new(416).with("Content-Range", format_args!("bytes */{}", bytes.len()));
            }
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Response { contents: Some((file.to_owned(), bytes, from)), ..Response::new(206) }
                .with("Content-Range", range)
        }
        None => Response { contents: Some((file.to_owned(), bytes, 0)), ..Response::new(200) },
    };
    // The CDN does not know repositories.
    let response =
        if request.path.starts_with("/cdn/") { response } else { response.with("X-Repo-Commit", &state.commit) };
    response.with("ETag", etag)
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => return Ok(Some(Request { method, path, headers })),
        };
    }
}

/// The Git LFS pointer of a large file.
fn pointer(bytes: &[u8]) -> Vec<u8> {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", sha256(bytes), bytes.len())
        .into_bytes()
}

/// The id of a file's git object: of the file itself, or of its LFS pointer.
pub fn object_id(file: &str, bytes: &[u8]) -> String {
    if is_large(file) { git_id(&pointer(bytes)) } else { git_id(bytes) }
}

fn git_id(bytes: &[u8]) -> String {
    use sha1::Digest;
    hex(&sha1::Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
