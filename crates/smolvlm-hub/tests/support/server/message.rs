//! Requests and responses of HTTP.

use std::collections::HashMap;
use std::io::BufRead;

pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HashMap<String, String>,
}

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Name and bytes of the file, and the first byte to send.
    pub(super) contents: Option<(String, Vec<u8>, usize)>,
}

impl Response {
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), contents: None }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(super) fn redirect(to: impl ToString) -> Self {
        Self::new(307).with("Location", to)
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        let response = Self::new(status);
        if code.is_empty() { response } else { response.with("X-Error-Code", code) }
    }
}

pub(super) fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
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
