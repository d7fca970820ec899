//! Host name patterns of a media policy.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A pattern of allowed hosts: `example.com` matches only that host, `*.example.com` all of its subdomains but not the
/// domain itself, an IP address only that address. Case and a trailing dot are ignored; internationalized names are
/// given in their ASCII form (`xn--...`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Pattern {
    Name(String),
    /// Including the leading dot.
    Below(String),
    Address(IpAddr),
}

impl HostPattern {
    /// Whether the pattern matches a host in URL notation without brackets.
    #[cfg(any(test, feature = "http"))]
    pub(crate) fn matches(&self, host: &str) -> bool {
        let host = normalize(host);
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        match &self.0 {
            Pattern::Name(name) => address.is_none() && *name == host,
            Pattern::Below(end) => address.is_none() && host.len() > end.len() && host.ends_with(end),
            Pattern::Address(own) => address == Some(*own),
        }
    }
}

/// Converts to lower case and removes one trailing dot.
fn normalize(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl FromStr for HostPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let host = normalize(text.trim());
        let unbracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        if let Ok(address) = unbracketed.parse::<IpAddr>() {
            return Ok(Self(Pattern::Address(address.to_canonical())));
        }
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !name.split('.').all(is_label) {
            let legal = "a host name, *. and a host name, or an IP address; without scheme, port and path";
            return Err(Error::PolicyValue { value: text.to_owned(), legal });
        }
        Ok(Self(if host.starts_with('*') { Pattern::Below(format!(".{name}")) } else { Pattern::Name(host) }))
    }
}

impl TryFrom<String> for HostPattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Name(name) => f.write_str(name),
            Pattern::Below(end) => write!(f, "*{end}"),
            Pattern::Address(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn only_wildcard_patterns_match_subdomains() {
        let patterns = ["Example.com.", "*.example.org", "192.0.2.1", "[2001:db8::1]"];
        let patterns = patterns.map(|host| host.parse::<HostPattern>().unwrap());
        let allows = |host: &str| patterns.iter().any(|pattern| pattern.matches(host));
        for host in ["example.com", "EXAMPLE.com", "example.com.", "a.example.org", "a.b.example.org", "192.0.2.1"] {
            assert!(allows(host), "{host}");
        }
        assert!(allows("2001:db8::1") && allows("::ffff:192.0.2.1"));
        for host in ["a.example.com", "example.org", "badexample.org", "example.com.evil.net", "192.0.2.2", "", "."] {
            assert!(!allows(host), "{host}");
        }
        for wrong in ["", "*", "*.", "http://a", "a/b", "a:80", "a b", "é.fr", "a..b", "*.*.a", "a@b", "\\a"] {
            assert!(wrong.parse::<HostPattern>().is_err(), "{wrong}");
        }
    }
}
