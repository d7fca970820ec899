//! Host names and origins of requests. A page of another site must not use a server on the visitor's machine, neither
//! directly nor by a host name that it resolves to this machine (DNS rebinding).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use std::net::IpAddr;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// The host of a request, with its port.
pub(crate) fn host(request: &Request) -> Option<&str> {
    let header = request.headers().get(header::HOST);
    match header {
        // A name that is not text is not a name of this machine.
        Some(value) => Some(value.to_str().unwrap_or("?")),
        None => request.uri().authority().map(axum::http::uri::Authority::as_str),
    }
}

/// Whether a host is a name or an address of this machine, or one of the allowed names.
pub(crate) fn is_local(host: &str, allowed: &[String]) -> bool {
    let name = without_port(host);
    if name.eq_ignore_ascii_case("localhost") || allowed.iter().any(|other| other.eq_ignore_ascii_case(name)) {
        return true;
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a request comes from no web page, from a page of this server, or from one of an allowed origin.
pub(crate) fn is_allowed(headers: &HeaderMap, host: Option<&str>, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let own = origin.split_once("://").is_some_and(|(_, origin)| host == Some(origin));
    own || allowed.iter().any(|allowed| allowed == "*" || allowed == origin)
}

/// Answers preflight requests of the allowed origins.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new().max_age(Duration::from_secs(600));
    let layer = layer.allow_methods([Method::GET, Method::POST]).allow_headers(AllowHeaders::mirror_request());
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(AllowOrigin::any());
    }
    layer.allow_origin(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{is_allowed, is_local};
    use axum::http::{HeaderMap, HeaderValue, header};

    #[test]
    fn only_names_of_this_machine_are_local() {
        let allowed = ["Camera.lan".to_owned()];
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080", "[::1]", "camera.lan:80"]
        {
            assert!(is_local(host, &allowed), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "127.0.0.1.example.com:80", "10.0.0.1", "[::2]", "?"] {
            assert!(!is_local(host, &allowed), "{host}");
        }
    }

    #[test]
    fn only_pages_of_allowed_origins_may_ask() {
        let allows = |origin: &'static str, allowed: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            let allowed: Vec<String> = allowed.iter().map(|&allowed| allowed.to_owned()).collect();
            is_allowed(&headers, Some("localhost:8080"), &allowed)
        };
        assert!(is_allowed(&HeaderMap::new(), None, &[]));
        assert!(allows("http://localhost:8080", &[]));
        assert!(allows("https://a.example", &["https://a.example"]) && allows("https://a.example", &["*"]));
        for origin in ["https://a.example", "null", "http://localhost", "http://localhost:9090"] {
            assert!(!allows(origin, &["https://b.example"]), "{origin}");
        }
    }
}
