//! API keys, host names and origins.

use super::support::{TestServer, demo, question};
use crate::config::ServerConfig;
use crate::router::paths;
use axum::body::Body;
use axum::http::{Method, Request};

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(question("a").to_string())).unwrap()
}

#[tokio::test]
async fn every_route_but_health_needs_the_key() {
    let config = ServerConfig { api_keys: vec!["secret".to_owned()], ..ServerConfig::default() };
    let server = TestServer::with(config, demo());
    assert!(paths().len() > 5);
    for path in paths() {
        let path = path.replace("{*id}", "smolvlm");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD] {
            let is_public = path == "/health" || path == "/v1/health";
            for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Bearer secret1")]] {
                let answer = server.send(request(method.clone(), &path, headers)).await;
                assert_eq!(answer.status.as_u16() == 401, !is_public, "{method} {path}: {}", answer.status);
            }
            let answer = server.send(request(method.clone(), &path, &[("authorization", "Bearer secret")])).await;
            assert_ne!(answer.status.as_u16(), 401, "{method} {path}");
        }
    }
    // Browsers send preflight requests without a key; the answers say nothing.
    let answer = server.send(request(Method::OPTIONS, "/v1/models", &[])).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    for path in ["/nothing", "/page/", "/page/nothing", "//", "/v1/health/x", "/HEALTH", "/health/"] {
        let answer = server.get(path).await;
        assert_eq!(answer.error(401)["type"], "authentication_error");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn other_host_names_are_rejected_on_loopback() {
    let server = TestServer::demo();
    for host in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
        assert_eq!(server.send(request(Method::GET, "/health", &[("host", host)])).await.status, 200, "{host}");
    }
    for host in ["attacker.example", "127.0.0.1.attacker.example:8080", "192.168.1.2"] {
        let answer = server.send(request(Method::GET, "/health", &[("host", host)])).await;
        assert_eq!(answer.error(403)["type"], "permission_error", "{host}");
    }
    let config = ServerConfig { allowed_hosts: vec!["camera.lan".to_owned()], ..ServerConfig::default() };
    let server = TestServer::with(config, demo());
    assert_eq!(server.send(request(Method::GET, "/health", &[("host", "camera.lan:80")])).await.status, 200);
    // On other addresses, the names are not known.
    let config = ServerConfig { address: ([0, 0, 0, 0], 8080).into(), ..ServerConfig::default() };
    let server = TestServer::with(config, demo());
    assert_eq!(server.send(request(Method::GET, "/health", &[("host", "my.example")])).await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_are_rejected_unless_allowed() {
    let page = [("origin", "https://page.example"), ("host", "localhost:8080")];
    let preflight = [&page[..], &[("access-control-request-method", "POST")]].concat();
    let server = TestServer::demo();
    let answer = server.send(request(Method::POST, "/v1/chat/completions", &page)).await;
    answer.error(403);
    let answer = server.send(request(Method::OPTIONS, "/v1/chat/completions", &preflight)).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    let own = [("origin", "http://localhost:8080"), ("host", "localhost:8080")];
    server.send(request(Method::POST, "/v1/chat/completions", &own)).await.ok();

    for allowed in ["https://page.example", "*"] {
        let config = ServerConfig {
            cors_origins: vec![allowed.to_owned()],
            api_keys: vec!["secret".to_owned()],
            ..ServerConfig::default()
        };
        let server = TestServer::with(config, demo());
        // Browsers send no key with a preflight request.
        let answer = server.send(request(Method::OPTIONS, "/v1/chat/completions", &preflight)).await;
        assert_eq!(answer.headers["access-control-allow-origin"], allowed);
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        server.send(request(Method::POST, "/v1/chat/completions", &page)).await.error(401);
        let with_key = [&page[..], &[("authorization", "Bearer secret")]].concat();
        let answer = server.send(request(Method::POST, "/v1/chat/completions", &with_key)).await;
        answer.ok();
        assert_eq!(answer.headers["access-control-allow-origin"], allowed);
    }
}
