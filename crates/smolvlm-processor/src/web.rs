//! Parsing and policy checks of `http:` and `https:` URLs.

use url::{Host, Url};

use crate::error::{Error, Position};
use crate::policy::{MediaPolicy, MediaScheme};
use crate::source::origin;

/// Parses a URL. Hosts in numeric notation (`0x7f.1`, `2130706433`) are normalized to IP addresses, so that the checked
/// address is the one connected to. Characters that URL parsers treat differently are rejected.
pub(crate) fn parse(text: &str, at: Position) -> Result<Url, Error> {
    let wrong = |reason: &str| Error::url(text, at, reason);
    let text = text.trim_matches(' ');
    plain(text).map_err(wrong)?;
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    if authority.is_empty() || authority.starts_with('/') {
        return Err(wrong("the scheme must be followed by :// and a host"));
    }
    supported(Url::parse(text).map_err(|error| wrong(&error.to_string()))?).map_err(wrong)
}

/// The target URL of a redirect from `base`.
pub(crate) fn redirect(base: &Url, location: &str, at: Position) -> Result<Url, Error> {
    let wrong =
        |reason: &str| Error::Http { at, url: origin(base.as_str()), reason: format!("a redirect that {reason}") };
    plain(location).map_err(wrong)?;
    let url = base.join(location).map_err(|_| wrong("cannot be read"))?;
    supported(url).map_err(|_| wrong("leads to something other than http: and https:"))
}

fn plain(text: &str) -> Result<(), &'static str> {
    if text.contains('\\') || text.contains(char::is_control) {
        return Err("holds a backslash or a control character");
    }
    Ok(())
}

fn supported(mut url: Url) -> Result<Url, &'static str> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not an http: or https: URL with a host");
    }
    url.set_fragment(None);
    Ok(url)
}

/// Checks the scheme, the host name and, if the host is an IP address, the address.
pub(crate) fn check(policy: &MediaPolicy, url: &Url, at: Position) -> Result<(), Error> {
    let scheme = if url.scheme() == "https" { MediaScheme::Https } else { MediaScheme::Http };
    policy.check_scheme(scheme, at)?;
    let (host, address) = match url.host() {
        Some(Host::Domain(name)) => (name.to_owned(), None),
        Some(Host::Ipv4(address)) => (address.to_string(), Some(address.into())),
        Some(Host::Ipv6(address)) => (address.to_string(), Some(address.into())),
        None => (String::new(), None),
    };
    let refused = |reason: &str| Error::NotAllowed { at, what: origin(url.as_str()), reason: reason.to_owned() };
    if !policy.allows_host(&host) {
        return Err(refused("the host is not among the allowed ones"));
    }
    match address {
        Some(address) if !policy.allows_address(address) => Err(refused(PRIVATE)),
        _ => Ok(()),
    }
}

/// Reason for rejecting an address. It does not contain the address, so that addresses of an internal network are not
/// disclosed.
pub(crate) const PRIVATE: &str = "the host has no public address";

#[cfg(test)]
mod tests {
    use super::{check, parse, redirect};
    use crate::error::Position;
    use crate::policy::{AddressRule, MediaPolicy};

    #[test]
    fn hosts_are_normalized() {
        let host = |text: &str| parse(text, Position::default()).map(|url| url.host_str().unwrap_or("").to_owned());
        for (text, expected) in [
            ("http://EXAMPLE.com/a b.png", "example.com"),
            ("HTTPS://user:secret@example.com:8080/?q#f", "example.com"),
            ("http://127.1/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0177.0.0.1/", "127.0.0.1"),
            ("http://%31%32%37.0.0.1/", "127.0.0.1"),
            ("http://127.0.0.1./", "127.0.0.1"),
            ("http://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]"),
            ("http://bücher.example/", "xn--bcher-kva.example"),
            ("http://127.0.0.1%00@example.com/", "example.com"),
        ] {
            assert_eq!(host(text).ok().as_deref(), Some(expected), "{text}");
        }
        for text in [
            "http://127.0.0.1\\@example.com/",
            "http:\\\\example.com",
            "http:/example.com",
            "http:///example.com",
            "http:example.com",
            "http://exa\tmple.com/",
            "http://a/\n",
            "http://",
            "http://[::1",
            "http://a:99999/",
            "http://1.2.3.4.5/",
            "http://exa%2fmple.com/",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn redirects_to_other_schemes_are_errors() {
        let base = parse("https://example.com/a/b", Position::default()).unwrap();
        let target = |location| redirect(&base, location, Position::default()).map(String::from);
        assert_eq!(target("c?d").unwrap(), "https://example.com/a/c?d");
        assert_eq!(target("//10.0.0.1/x").unwrap(), "https://10.0.0.1/x");
        assert_eq!(target("http://other.example/").unwrap(), "http://other.example/");
        for location in ["file:///etc/passwd", "data:,x", "\\\\evil", "/\\evil", "ftp://a/", "javascript:1", "http://["]
        {
            assert!(target(location).is_err(), "{location}");
        }
    }

    #[test]
    fn ip_addresses_in_urls_are_checked() {
        let policy = MediaPolicy { addresses: AddressRule::Public, ..MediaPolicy::default() };
        let allowed = |text: &str| check(&policy, &parse(text, Position::default()).unwrap(), Position::default());
        assert!(allowed("http://1.1.1.1/").is_ok() && allowed("http://example.com/").is_ok());
        for text in
            ["http://127.1/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/"]
        {
            let error = allowed(text).unwrap_err().to_string();
            assert!(error.contains("no public address"), "{error}");
        }
    }
}
