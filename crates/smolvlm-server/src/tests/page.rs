//! The page in a browser: its files, headers and access.

use super::support::{Answer, TestServer, demo, question};
use crate::config::ServerConfig;
use axum::body::Body;
use axum::http::{Method, Request};

fn request(method: Method, path: &str, host: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).header("host", host).body(Body::empty()).unwrap()
}

/// The paths that a text of the page names between `before` and a quotation mark.
fn named(text: &str, before: &str) -> Vec<String> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

async fn get(server: &TestServer, path: &str) -> Answer {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{path}");
    answer
}

#[tokio::test]
async fn every_file_of_the_page_is_served() {
    let server = TestServer::demo();
    let page = get(&server, "/").await.text;
    let mut open: Vec<String> = ["src=\"", "href=\"page/"]
        .iter()
        .flat_map(|before| named(&page, before))
        .map(|name| name.replace("page/", ""))
        .collect();
    let mut seen = Vec::new();
    while let Some(name) = open.pop() {
        if !seen.contains(&name) {
            let text = get(&server, &format!("/page/{name}")).await.text;
            open.extend(named(&text, "from \"./"));
            seen.push(name);
        }
    }
    assert!(["app.js", "api.js", "base.css", "icon.svg"].iter().all(|name| seen.contains(&(*name).to_owned())));
}

#[tokio::test]
async fn files_have_their_types_and_a_strict_policy() {
    // The page is shown while the model is loading.
    let server = TestServer::loading(ServerConfig::default());
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/base.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let headers = get(&server, path).await.headers;
        assert_eq!(headers["content-type"], content_type);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("connect-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
    }
}

#[tokio::test]
async fn the_page_obeys_its_policy() {
    let page = TestServer::demo().get("/").await.text;
    // Scripts and styles have to be files, or the browser rejects them.
    assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=\"page/").count());
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:", "http:", "https:"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn head_requests_have_the_headers_only() {
    let server = TestServer::demo();
    let length = get(&server, "/").await.text.len();
    let answer = server.send(request(Method::HEAD, "/", "localhost")).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers["content-length"], length.to_string());
    server.send(request(Method::POST, "/", "localhost")).await.error(405);
}

#[tokio::test]
async fn only_the_files_need_no_key() {
    let config = ServerConfig { api_keys: vec!["secret".to_owned()], ..ServerConfig::default() };
    let server = TestServer::with(config, demo());
    for path in ["/", "/page/app.js", "/page/base.css"] {
        get(&server, path).await;
    }
    for path in ["/props", "/v1/models", "/metrics", "/page", "/page/app.rs", "/page/../props"] {
        server.get(path).await.error(401);
    }
    server.chat(question("a")).await.error(401);
}

#[tokio::test]
async fn host_names_are_checked_for_the_page_too() {
    let server = TestServer::demo();
    for path in ["/", "/page/app.js"] {
        assert_eq!(server.send(request(Method::GET, path, "localhost:8080")).await.status, 200);
        server.send(request(Method::GET, path, "attacker.example")).await.error(403);
    }
}
