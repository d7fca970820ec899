//! One connection of a client: answers its requests by their paths.

use super::content::{contents, describe, list};
use super::message::{Request, Response, read_request};
use super::object::{git_id, is_large, sha256};
use super::{PAGE, Served, State, lock};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub(super) struct Connection {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) port: u16,
}

impl Connection {
    pub(super) fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
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
