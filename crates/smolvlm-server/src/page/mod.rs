//! `GET /`: a page that asks the model in a browser. Its files are part of the program and need no key, since they
//! contain no data; the requests that the page sends do.

use crate::state::Shared;
use axum::http::header::{self, HeaderName};
use axum::routing::{MethodRouter, get};

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// All files. The page names them by relative paths, so that a proxy may serve them under a prefix.
const FILES: [File; 17] = [
    File { path: "/", content_type: HTML, text: include_str!("index.html") },
    File { path: "/page/base.css", content_type: CSS, text: include_str!("base.css") },
    File { path: "/page/conversation.css", content_type: CSS, text: include_str!("conversation.css") },
    File { path: "/page/decision.css", content_type: CSS, text: include_str!("decision.css") },
    File { path: "/page/question.css", content_type: CSS, text: include_str!("question.css") },
    File { path: "/page/icon.svg", content_type: SVG, text: include_str!("icon.svg") },
    File { path: "/page/app.js", content_type: JAVASCRIPT, text: include_str!("app.js") },
    File { path: "/page/api.js", content_type: JAVASCRIPT, text: include_str!("api.js") },
    File { path: "/page/camera.js", content_type: JAVASCRIPT, text: include_str!("camera.js") },
    File { path: "/page/composer.js", content_type: JAVASCRIPT, text: include_str!("composer.js") },
    File { path: "/page/curl.js", content_type: JAVASCRIPT, text: include_str!("curl.js") },
    File { path: "/page/decision.js", content_type: JAVASCRIPT, text: include_str!("decision.js") },
    File { path: "/page/estimate.js", content_type: JAVASCRIPT, text: include_str!("estimate.js") },
    File { path: "/page/example.js", content_type: JAVASCRIPT, text: include_str!("example.js") },
    File { path: "/page/media.js", content_type: JAVASCRIPT, text: include_str!("media.js") },
    File { path: "/page/questions.js", content_type: JAVASCRIPT, text: include_str!("questions.js") },
    File { path: "/page/turn.js", content_type: JAVASCRIPT, text: include_str!("turn.js") },
];

/// The page runs its own scripts only, sends requests to this server only, and cannot be framed by other pages.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Whether a path is a file of the page.
pub(crate) fn is_file(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

/// The routes of all files.
pub(crate) fn routes() -> impl Iterator<Item = (&'static str, MethodRouter<Shared>)> {
    FILES.iter().map(|file| {
        let headers: [(HeaderName, &str); 6] = [
            (header::CONTENT_TYPE, file.content_type),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            // All files of the page must be those of the same program.
            (header::CACHE_CONTROL, "no-store"),
        ];
        (file.path, get(|| async { (headers, file.text) }))
    })
}
