//! Configuration of a server.

use crate::Error;
use smolvlm::{MediaPolicy, Options};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of pixels of an image or frame: 120 MB decoded, so that a small file cannot take much memory.
const MAX_PIXELS: u64 = 40_000_000;

/// Maximum width and height of an image or frame.
const MAX_SIDE: u32 = 1 << 16;

/// Maximum size of an encoded image, as base64 in a request or downloaded.
const MAX_IMAGE_BYTES: u64 = 24 << 20;

/// Time limit and maximum number of redirects of one download.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: u32 = 3;

/// Configuration of a server. The defaults are safe for untrusted clients on this machine: no files, no fetching, no
/// browser pages of other sites.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Address to listen on; `127.0.0.1:8080` by default. Port 0 chooses a free one.
    pub address: SocketAddr,
    /// Name of the model in responses. Requests may give any name.
    pub model_name: String,
    /// API keys, one of which each request must have; none by default. `/health` and the files of the page never need
    /// one.
    pub api_keys: Vec<String>,
    /// Origins of web pages that may use the server, as in `https://example.com`; `*` allows all. None by default.
    pub cors_origins: Vec<String>,
    /// Host names that requests may use besides those of this machine, if the address is a loopback address.
    pub allowed_hosts: Vec<String>,
    /// Number of requests that are processed at once.
    pub parallel: usize,
    /// Number of requests that may wait.
    pub max_queue: usize,
    /// Maximum number of tokens of all requests that wait, prompts and answers, estimated from the sizes of the
    /// requests; others are rejected. No limit by default.
    pub max_queue_tokens: Option<usize>,
    /// Time limit of a request, waiting included. A text that is not complete by then ends with the reason `length`.
    pub request_timeout: Duration,
    /// Time to finish running requests after SIGTERM.
    pub drain_timeout: Duration,
    /// Number of connections at once; others wait.
    pub max_connections: usize,
    /// Time limit for the arrival of a request's head, after which an idle connection is closed.
    pub head_timeout: Duration,
    /// Time limit for the arrival of a request's body.
    pub body_timeout: Duration,
    /// Maximum size of a request's body in bytes, images as base64 included.
    pub max_body_bytes: usize,
    /// Maximum size of the bodies of all requests together in bytes; others are rejected.
    pub max_bodies_bytes: usize,
    /// Maximum number of answers to one request (`n`).
    pub max_choices: usize,
    /// Maximum number of generated tokens of a request that sets no limit; by default that of the checkpoint.
    pub default_max_tokens: Option<usize>,
    /// Whether a text that repeats itself endlessly is ended.
    pub loop_guard: bool,
    /// Whether video files are decoded. Lists of frames always are.
    pub videos: bool,
    /// Which images may be used. Inline data only by default.
    pub media: MediaPolicy,
    /// Time between comments in a stream without events, which keep proxies from closing it.
    pub ping: Duration,
    /// Receives the line `ready` when requests are answered, and one line per failure of the server. Ignored by
    /// default.
    pub log: Log,
}

/// Receives lines of the log.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&str) + Send + Sync>);

impl Log {
    /// A log that calls a function for each line.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    pub(crate) fn line(&self, line: &str) {
        (self.0)(line);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

/// Prints the number of API keys only.
impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("address", &self.address)
            .field("model_name", &self.model_name)
            .field("api_keys", &self.api_keys.len())
            .field("parallel", &self.parallel)
            .field("max_queue", &self.max_queue)
            .field("max_queue_tokens", &self.max_queue_tokens)
            .finish_non_exhaustive()
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 8080).into(),
            model_name: "smolvlm".to_owned(),
            api_keys: Vec::new(),
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            parallel: 8,
            max_queue: 64,
            max_queue_tokens: None,
            request_timeout: Duration::from_secs(600),
            drain_timeout: Duration::from_secs(30),
            max_connections: 1024,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            max_body_bytes: 32 << 20,
            max_bodies_bytes: 256 << 20,
            max_choices: 8,
            default_max_tokens: None,
            loop_guard: true,
            videos: false,
            media: MediaPolicy::untrusted(),
            ping: Duration::from_secs(15),
            log: Log::new(|_| {}),
        }
    }
}

impl ServerConfig {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`].
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let config = |option, problem: &str| Err(Error::Config { option, problem: problem.to_owned() });
        if self.max_connections == 0 {
            return config("max_connections", "is 0; it must be at least 1");
        }
        if self.parallel == 0 {
            return config("parallel", "is 0; it must be at least 1");
        }
        if self.api_keys.iter().any(|key| key.trim().is_empty() || key.trim().len() != key.len()) {
            return config("api_key", "is empty or starts or ends with a space; give at least one character");
        }
        for origin in &self.cors_origins {
            let is_origin = origin.starts_with("http://") || origin.starts_with("https://");
            if origin != "*" && (!is_origin || origin.ends_with('/') || !origin.is_ascii()) {
                return config(
                    "cors_origin",
                    &format!("is {origin:?}; give an origin such as https://example.com, or *"),
                );
            }
        }
        Ok(())
    }

    /// The options to load a model with for this server: its media policy, control tokens in texts as plain text, and
    /// limits at least as strict as those for untrusted clients. To allow more, raise limits in the result.
    #[must_use]
    pub fn model_options(&self, mut options: Options) -> Options {
        options.media_policy = self.media.clone();
        options.sanitize_control_tokens = true;
        let limits = &mut options.limits;
        for image in [&mut limits.image, &mut limits.video.image] {
            image.max_pixels = image.max_pixels.min(MAX_PIXELS);
            image.max_width = image.max_width.min(MAX_SIDE);
            image.max_height = image.max_height.min(MAX_SIDE);
            image.max_bytes = image.max_bytes.min(MAX_IMAGE_BYTES);
        }
        limits.video.isolation.get_or_insert_default();
        limits.max_video_bytes = limits.max_video_bytes.min(self.max_body_bytes as u64);
        limits.http_timeout = limits.http_timeout.min(DOWNLOAD_TIMEOUT);
        limits.http_redirects = limits.http_redirects.min(MAX_REDIRECTS);
        options
    }
}
