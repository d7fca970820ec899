//! API keys, compared in constant time.

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Digests of the keys, so that neither their bytes nor their lengths influence the time of a comparison.
pub(crate) struct Keys(Vec<[u8; 32]>);

impl Keys {
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| Sha256::digest(key).into()).collect())
    }

    /// Whether a request has one of the keys. Without keys, all requests are admitted.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(key) = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes())) else {
            return false;
        };
        let digest: [u8; 32] = Sha256::digest(key).into();
        // All keys are compared, whichever is right.
        self.0.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(&digest)).into()
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, key) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use axum::http::{HeaderMap, HeaderValue, header};

    #[test]
    fn only_a_key_of_the_list_is_admitted() {
        let keys = Keys::new(&["one".to_owned(), "two".to_owned()]);
        let admits = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            keys.admit(&headers)
        };
        assert!(admits("Bearer one") && admits("bearer two"));
        for wrong in ["", "Bearer", "Bearer ", "Bearer o", "Bearer one1", "Basic one", "one", "Bearer one two"] {
            assert!(!admits(wrong), "{wrong}");
        }
        assert!(!keys.admit(&HeaderMap::new()));
        assert!(Keys::new(&[]).admit(&HeaderMap::new()));
    }
}
