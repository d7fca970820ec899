//! Descriptions of the repository, and contents of its files.

use super::message::{Request, Response};
use super::object::{git_id, is_large, pointer, sha256};
use super::{COMMIT, State};
use serde_json::json;

/// Lists the git objects of the commit, with an LFS pointer for each `.safetensors` file.
pub(super) fn list(state: &State) -> Response {
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

pub(super) fn describe(state: &State, revision: &str) -> Response {
    if revision == "nowhere" {
        return Response::error(404, "RevisionNotFound");
    }
    let siblings: Vec<_> = state.files.keys().map(|name| json!({"rfilename": name})).collect();
    let description = json!({"id": state.repo, "sha": state.commit, "siblings": siblings}).to_string();
    let text = state.listing.clone().unwrap_or(description);
    Response { contents: Some((String::new(), text.into_bytes(), 0)), ..Response::new(200) }
}

pub(super) fn contents(state: &State, request: &Request, file: &str) -> Response {
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
