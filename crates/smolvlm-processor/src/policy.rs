//! Access policy for the media of a conversation.

use std::fmt;
#[cfg(any(test, feature = "http"))]
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Position};
use crate::host_pattern::HostPattern;
use crate::message::{Content, Conversation};
use crate::network::IpNetwork;
#[cfg(any(test, feature = "http"))]
use crate::network::is_public;
use crate::source::{ImageSource, VideoSource, scheme};

/// Which images and videos a conversation may refer to, and how many.
///
/// The default allows everything that a local user may open: all files and URLs. Untrusted conversations need a
/// stricter policy: [`MediaPolicy::untrusted`] allows only inline data and is the starting point for servers. It also
/// provides the defaults for keys that are absent from a serialized policy.
///
/// ```
/// use smolvlm_processor::{AddressRule, MediaPolicy, MediaScheme};
///
/// let policy = MediaPolicy {
///     schemes: vec![MediaScheme::Data, MediaScheme::Https],
///     hosts: Some(vec!["images.example.com".parse()?, "*.example.org".parse()?]),
///     ..MediaPolicy::untrusted()
/// };
/// assert_eq!(policy.addresses, AddressRule::Public);
/// # Ok::<(), smolvlm_processor::Error>(())
/// ```
///
/// The policy is enforced where media are opened. Addresses are checked after a host name is resolved; the connection
/// goes to a checked address, and every redirect is checked like the original URL. Size and time of a single download
/// are bounded by [`ProcessorLimits`](crate::ProcessorLimits).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default = "MediaPolicy::untrusted", deny_unknown_fields)]
pub struct MediaPolicy {
    /// Allowed kinds of sources.
    pub schemes: Vec<MediaScheme>,
    /// Folders that files must be in, at any depth, after symbolic links are resolved; none allows every file. Relative
    /// paths are resolved against each of these folders. A user who can create links inside the folders while files are
    /// being read can escape them.
    pub folders: Option<Vec<PathBuf>>,
    /// Allowed hosts of `http:` and `https:` URLs; none allows every host.
    pub hosts: Option<Vec<HostPattern>>,
    /// Allowed addresses of hosts.
    pub addresses: AddressRule,
    /// Additional networks allowed by [`AddressRule::Public`].
    pub networks: Vec<IpNetwork>,
    /// Maximum number of images and videos per conversation; each frame of a frame list counts.
    pub max_media: usize,
    /// Maximum total size in bytes of encoded media in memory per batch: downloads, inline data and byte sources.
    pub max_total_bytes: u64,
    /// Maximum total download time per batch in seconds.
    pub max_total_seconds: u64,
}

/// Kind of a media source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MediaScheme {
    /// Inline data: `data:` URLs, base64, bytes and decoded pixels.
    Data,
    /// Files and folders: paths and `file:` URLs.
    File,
    /// `http:` URLs.
    Http,
    /// `https:` URLs.
    Https,
}

/// Addresses that hosts may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AddressRule {
    /// Any address. The proxies of the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`) are used.
    Any,
    /// Addresses of the public internet and [`MediaPolicy::networks`]. Excludes private, loopback, link-local, shared
    /// (CGNAT), multicast, reserved and documentation addresses, and IPv6 addresses that map to IPv4 other than
    /// IPv4-mapped ones (6to4, NAT64, Teredo). Connections are direct, because a proxy would resolve host names itself.
    Public,
}

impl Default for MediaPolicy {
    fn default() -> Self {
        Self {
            schemes: vec![MediaScheme::Data, MediaScheme::File, MediaScheme::Http, MediaScheme::Https],
            folders: None,
            hosts: None,
            addresses: AddressRule::Any,
            networks: Vec::new(),
            max_media: usize::MAX,
            max_total_bytes: 4 << 30,
            max_total_seconds: 3600,
        }
    }
}

impl MediaPolicy {
    /// A policy that allows only inline data, with at most 64 images and frames and 64 MiB. No file or host is allowed
    /// unless [`folders`](Self::folders) or [`hosts`](Self::hosts) are set.
    pub fn untrusted() -> Self {
        Self {
            schemes: vec![MediaScheme::Data],
            folders: Some(Vec::new()),
            hosts: Some(Vec::new()),
            addresses: AddressRule::Public,
            networks: Vec::new(),
            max_media: 64,
            max_total_bytes: 64 << 20,
            max_total_seconds: 60,
        }
    }

    /// Checks the media references of a conversation without opening anything: number of media, schemes and hosts.
    /// Checks that need the file system or the network are made when a medium is opened, where these checks are
    /// repeated.
    ///
    /// # Errors
    /// [`Error::NotAllowed`], [`Error::TooManyMedia`], and [`Error::Url`] for an invalid URL.
    pub fn check(&self, conversation: &Conversation) -> Result<(), Error> {
        self.check_at(conversation, Position::default())
    }

    pub(crate) fn check_at(&self, conversation: &Conversation, at: Position) -> Result<(), Error> {
        let mut count = 0_usize;
        for (message, item, content) in conversation.items() {
            let at = at.message(message).item(item);
            count += match content {
                Content::Video(VideoSource::Frames(list)) => list.images.len(),
                Content::Image(_) | Content::Video(_) => 1,
                Content::Text(_) | Content::Precomputed(_) => 0,
            };
            if count > self.max_media {
                return Err(Error::TooManyMedia { at, limit: self.max_media });
            }
            match content {
                Content::Image(source) => self.check_image(source, at)?,
                Content::Video(source) => self.check_video(source, at)?,
                Content::Text(_) | Content::Precomputed(_) => {}
            }
        }
        Ok(())
    }

    pub(crate) fn check_image(&self, source: &ImageSource, at: Position) -> Result<(), Error> {
        match source {
            ImageSource::Path(_) => self.check_scheme(MediaScheme::File, at),
            ImageSource::Url(url) => self.check_url(url, at),
            ImageSource::Base64(_) | ImageSource::Bytes(_) | ImageSource::Decoded(_) => {
                self.check_scheme(MediaScheme::Data, at)
            }
        }
    }

    pub(crate) fn check_video(&self, source: &VideoSource, at: Position) -> Result<(), Error> {
        match source {
            VideoSource::Path(_) => self.check_scheme(MediaScheme::File, at),
            VideoSource::Url(url) => self.check_url(url, at),
            VideoSource::Base64(_) | VideoSource::Bytes(_) => self.check_scheme(MediaScheme::Data, at),
            VideoSource::Frames(list) => list.images.iter().try_for_each(|image| self.check_image(image, at)),
        }
    }

    fn check_url(&self, url: &str, at: Position) -> Result<(), Error> {
        match scheme(url) {
            Some("data") => self.check_scheme(MediaScheme::Data, at),
            Some("file") => self.check_scheme(MediaScheme::File, at),
            #[cfg(feature = "http")]
            Some(_) => crate::web::parse(url, at).and_then(|url| crate::web::check(self, &url, at)),
            #[cfg(not(feature = "http"))]
            Some(name) => self.check_scheme(if name == "http" { MediaScheme::Http } else { MediaScheme::Https }, at),
            None => Err(Error::unknown_scheme(url, at)),
        }
    }

    pub(crate) fn check_scheme(&self, scheme: MediaScheme, at: Position) -> Result<(), Error> {
        if self.schemes.contains(&scheme) {
            return Ok(());
        }
        let what = match scheme {
            MediaScheme::Data => "inline data",
            MediaScheme::File => "a file",
            MediaScheme::Http => "an http: URL",
            MediaScheme::Https => "an https: URL",
        };
        let allowed: Vec<String> = self.schemes.iter().map(ToString::to_string).collect();
        let reason = match allowed.as_slice() {
            [] => "no media are allowed here".to_owned(),
            allowed => format!("media can be given as {}", allowed.join(", ")),
        };
        Err(Error::NotAllowed { at, what: what.to_owned(), reason })
    }

    /// Whether connections to an address are allowed.
    #[cfg(any(test, feature = "http"))]
    pub(crate) fn allows_address(&self, address: IpAddr) -> bool {
        match self.addresses {
            AddressRule::Any => true,
            AddressRule::Public => is_public(address) || self.networks.iter().any(|network| network.contains(address)),
        }
    }

    /// Whether requests to a host are allowed, given in URL notation without brackets.
    #[cfg(any(test, feature = "http"))]
    pub(crate) fn allows_host(&self, host: &str) -> bool {
        self.hosts.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(host)))
    }
}

impl fmt::Display for MediaScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data: URL",
            Self::File => "file",
            Self::Http => "http: URL",
            Self::Https => "https: URL",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressRule, MediaPolicy, MediaScheme};

    #[test]
    fn policy_round_trips_through_json() {
        let policy: MediaPolicy = serde_json::from_str("{}").unwrap();
        assert_eq!(policy, MediaPolicy::untrusted());
        let text = r#"{"schemes": ["data", "https"], "hosts": ["*.example.org"], "networks": ["10.0.0.0/8"]}"#;
        let policy: MediaPolicy = serde_json::from_str(text).unwrap();
        assert_eq!(policy.schemes, [MediaScheme::Data, MediaScheme::Https]);
        assert_eq!(policy.addresses, AddressRule::Public);
        assert!(policy.allows_host("a.example.org") && policy.allows_address("10.1.2.3".parse().unwrap()));
        let written = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<MediaPolicy>(&written).unwrap(), policy);
        assert!(serde_json::from_str::<MediaPolicy>(r#"{"host": ["a"]}"#).is_err());
        assert!(serde_json::from_str::<MediaPolicy>(r#"{"hosts": ["http://a"]}"#).is_err());
    }
}
