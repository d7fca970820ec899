//! Download of images and videos over HTTP.

use std::io::Read;
use std::time::{Duration, Instant};

use smolvlm_video::Cancel;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, http};
use url::Url;

use crate::error::{Error, Position};
use crate::policy::{AddressRule, MediaPolicy};
use crate::source::origin;
use crate::{tls, web};

/// Maximum size of the headers of a response in bytes.
const MAX_HEADERS: usize = 64 << 10;

/// Bytes read between two checks of the deadline.
const CHUNK: usize = 64 << 10;

/// Parameters of a download.
pub(crate) struct Download<'a> {
    pub policy: &'a MediaPolicy,
    /// Maximum size in bytes.
    pub limit: u64,
    pub redirects: u32,
    /// Deadline of the download.
    pub deadline: Instant,
    /// Whether the bytes received so far suffice.
    pub is_enough: &'a dyn Fn(&[u8]) -> bool,
    pub cancel: &'a Cancel,
    pub at: Position,
}

impl Download<'_> {
    /// Fetches a URL.
    pub(crate) fn fetch(&self, text: &str) -> Result<Vec<u8>, Error> {
        self.fetch_with(text, DefaultResolver::default)
    }

    /// Fetches a URL. Redirects are followed here rather than by the client, so that every URL goes through the same
    /// parser and checks.
    fn fetch_with<R: Resolver>(&self, text: &str, resolver: impl Fn() -> R) -> Result<Vec<u8>, Error> {
        let mut url = web::parse(text, self.at)?;
        for _ in 0..=self.redirects {
            web::check(self.policy, &url, self.at)?;
            let response = self.ask(&url, resolver())?;
            if !response.status().is_redirection() {
                return self.read(&url, response);
            }
            let location = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| self.failed(&url, "a redirect without a target"))?;
            url = web::redirect(&url, location, self.at)?;
        }
        Err(self.failed(&url, &format!("more than {} redirects", self.redirects)))
    }

    fn ask(&self, url: &Url, lookup: impl Resolver) -> Result<http::Response<Body>, Error> {
        let config = Agent::config_builder()
            .timeout_global(Some(self.left(url)?))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_response_header_size(MAX_HEADERS)
            .accept_encoding("identity")
            .user_agent(concat!("smolvlm/", env!("CARGO_PKG_VERSION")));
        let config = match self.policy.addresses {
            AddressRule::Any => config,
            // A proxy would resolve host names itself and bypass the check.
            AddressRule::Public => config.proxy(None),
        };
        let config = match url.scheme() {
            "https" => config.tls_config(tls::config().map_err(|reason| self.failed(url, &reason))?),
            _ => config,
        };
        let checked = CheckedResolver { lookup, policy: self.policy.clone() };
        let agent = Agent::with_parts(config.build(), DefaultConnector::default(), checked);
        agent.get(url.as_str()).call().map_err(|error| self.client_error(url, error))
    }

    fn read(&self, url: &Url, response: http::Response<Body>) -> Result<Vec<u8>, Error> {
        if !response.status().is_success() {
            return Err(self.failed(url, &format!("http status: {}", response.status().as_u16())));
        }
        let encoding = response.headers().get(http::header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(self.failed(url, "the server sent a compressed response, which was not requested"));
        }
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut bytes = Vec::new();
        while !(self.is_enough)(&bytes) {
            self.left(url)?;
            let before = bytes.len();
            let read = body.by_ref().take(CHUNK as u64).read_to_end(&mut bytes);
            read.map_err(|error| self.client_error(url, error.into()))?;
            if bytes.len() as u64 > self.limit {
                return Err(Error::TooLarge {
                    what: format!("{}{}", self.at, origin(url.as_str())),
                    limit: self.limit,
                });
            }
            if bytes.len() == before {
                break;
            }
        }
        Ok(bytes)
    }

    /// Time left until the deadline.
    fn left(&self, url: &Url) -> Result<Duration, Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.failed(url, "timeout")) } else { Ok(left) }
    }

    /// Converts client errors to messages that contain no more of the URL than its origin.
    fn client_error(&self, url: &Url, error: ureq::Error) -> Error {
        let reason = match error {
            ureq::Error::Other(other) if other.is::<NoPublicAddress>() => {
                let what = origin(url.as_str());
                return Error::NotAllowed { at: self.at, what, reason: web::PRIVATE.to_owned() };
            }
            ureq::Error::BadUri(_) => "the URL cannot be used".to_owned(),
            ureq::Error::Timeout(_) => "timeout".to_owned(),
            other => other.to_string(),
        };
        self.failed(url, &reason)
    }

    fn failed(&self, url: &Url, reason: &str) -> Error {
        Error::Http { at: self.at, url: origin(url.as_str()), reason: reason.to_owned() }
    }
}

/// A resolver that returns only addresses allowed by the policy. The client connects to these addresses without another
/// lookup, which prevents DNS rebinding.
#[derive(Debug)]
struct CheckedResolver<R> {
    lookup: R,
    policy: MediaPolicy,
}

impl<R: Resolver> Resolver for CheckedResolver<R> {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.lookup.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for &address in found.iter().filter(|address| self.policy.allows_address(address.ip())) {
            allowed.push(address);
        }
        if allowed.is_empty() { Err(ureq::Error::Other(Box::new(NoPublicAddress))) } else { Ok(allowed) }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NoPublicAddress;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A resolver that returns a different address for each lookup, as in DNS rebinding attacks.
    #[derive(Debug, Clone)]
    struct Rebinding {
        addresses: Vec<SocketAddr>,
        lookups: Arc<AtomicUsize>,
    }

    impl Resolver for Rebinding {
        fn resolve(&self, _: &http::Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let count = self.lookups.fetch_add(1, Ordering::Relaxed);
            let mut found = self.empty();
            found.push(self.addresses[count % self.addresses.len()]);
            Ok(found)
        }
    }

    /// Starts a server that counts its connections and redirects `/moved` to `/`.
    fn server(host: &str) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = connections.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                let mut connection = connection.unwrap();
                let mut request = [0; 2048];
                let length = connection.read(&mut request).unwrap_or(0);
                let answer = match request[..length].starts_with(b"GET /moved") {
                    true => "HTTP/1.1 302 Found\r\nLocation: http://rebinding.example/\r\nContent-Length: 0\r\n\r\n",
                    false => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata",
                };
                drop(connection.write_all(answer.as_bytes()));
            }
        });
        (address, connections)
    }

    fn fetch(path: &str, resolver: &Rebinding) -> Result<Vec<u8>, Error> {
        let networks = vec!["127.0.0.1".parse().unwrap()];
        let policy = MediaPolicy { addresses: AddressRule::Public, networks, ..MediaPolicy::default() };
        let download = Download {
            policy: &policy,
            limit: 100,
            redirects: 3,
            deadline: Instant::now() + Duration::from_secs(20),
            is_enough: &|_| false,
            cancel: &Cancel::new(),
            at: Position::default(),
        };
        download.fetch_with(&format!("http://rebinding.example{path}"), || resolver.clone())
    }

    #[test]
    fn dns_rebinding_is_prevented() {
        let ((allowed, _), (hidden, hidden_connections)) = (server("127.0.0.1"), server("127.0.0.2"));
        let rebinding = |addresses: &[SocketAddr]| Rebinding { addresses: addresses.to_vec(), lookups: Arc::default() };
        // One lookup per connection: the second address is not requested.
        let resolver = rebinding(&[allowed, hidden]);
        assert_eq!(fetch("/", &resolver).unwrap(), b"data");
        assert_eq!(resolver.lookups.load(Ordering::Relaxed), 1);
        // Another connection causes another lookup, which is checked as well.
        let resolver = rebinding(&[allowed, hidden]);
        assert!(matches!(fetch("/moved", &resolver), Err(Error::NotAllowed { .. })));
        assert_eq!(resolver.lookups.load(Ordering::Relaxed), 2);
        let mapped = SocketAddr::new(std::net::Ipv4Addr::new(127, 0, 0, 2).to_ipv6_mapped().into(), hidden.port());
        for addresses in [[hidden], [mapped]] {
            assert!(matches!(fetch("/", &rebinding(&addresses)), Err(Error::NotAllowed { .. })));
        }
        assert_eq!(hidden_connections.load(Ordering::Relaxed), 0);
        assert_eq!(fetch("/moved", &rebinding(&[allowed])).unwrap(), b"data");
    }
}
