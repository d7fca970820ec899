//! Addresses: what they begin with, and where redirects lead.

/// An address as messages show it: queries hold signatures.
pub(super) fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Scheme, host and port of an HTTP address.
pub(super) fn origin(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let end = host.find(['/', '?', '#']).unwrap_or(host.len());
    (end > 0).then(|| &url[..url.len() - host.len() + end])
}

/// Where a redirect leads. Never from https to http.
pub(super) fn join(base: &str, location: &str) -> Option<String> {
    let origin_of_base = origin(base)?;
    let scheme = &base[..base.find("//")?];
    let next = if location.starts_with("//") {
        format!("{scheme}{location}")
    } else if location.starts_with('/') {
        format!("{origin_of_base}{location}")
    } else {
        location.to_owned()
    };
    origin(&next)?;
    (scheme == "http:" || next.starts_with("https:")).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects() {
        let base = "https://hub.co/a/b?x=//y";
        for (location, next) in [
            ("/c?d=e", Some("https://hub.co/c?d=e")),
            ("//cdn.co/f", Some("https://cdn.co/f")),
            ("https://cdn.co/f?sig=1", Some("https://cdn.co/f?sig=1")),
            ("http://cdn.co/f", None),
            ("c", None),
            ("file:///etc/passwd", None),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(join(base, location).as_deref(), next, "{location}");
        }
        assert_eq!(join("http://hub.co:8080/a", "/c").as_deref(), Some("http://hub.co:8080/c"));
        assert_eq!(join("http://hub.co", "https://cdn.co/f").as_deref(), Some("https://cdn.co/f"));
    }

    #[test]
    fn the_origin_is_all_of_scheme_host_and_port() {
        assert_eq!(origin("https://hub.co/a"), Some("https://hub.co"));
        assert_eq!(origin("http://hub.co:80?x"), Some("http://hub.co:80"));
        assert_eq!(origin("https://hub.co@evil.co/a"), Some("https://hub.co@evil.co"));
        for bad in ["", "hub.co", "ftp://hub.co", "https://", "https:///a"] {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }
}
