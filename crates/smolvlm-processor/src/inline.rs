//! Inline media of a conversation: base64 and `data:` URLs.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Error, Position};
use crate::media_kind::kind_of_bytes;
use crate::source::scheme;

/// Standard base64 with optional padding, which hand-written URLs often lack.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes base64 text, with or without a `data:` prefix.
pub(crate) fn base64(text: &str, limit: u64, at: Position) -> Result<Vec<u8>, Error> {
    match scheme(text) {
        Some("data") => data_url(text, limit, at),
        _ => base64_bytes(text, limit, at),
    }
}

/// Decodes a path as base64. The reference does so for any string that is not an existing file; here the decoded bytes
/// must also start like a media file, otherwise the error should be about the missing file.
pub(crate) fn image_in_path(path: &Path, limit: u64, at: Position) -> Option<Vec<u8>> {
    const MIN_CHARS: usize = 32;
    let text = path.to_str()?;
    if text.len() < MIN_CHARS || path.exists() {
        return None;
    }
    let bytes = base64_bytes(text, limit, at).ok()?;
    kind_of_bytes(&bytes).is_some().then_some(bytes)
}

fn base64_bytes(text: &str, limit: u64, at: Position) -> Result<Vec<u8>, Error> {
    let spaces = text.bytes().filter(u8::is_ascii_whitespace).count();
    if (text.len() - spaces) as u64 / 4 * 3 > limit {
        return Err(Error::TooLarge { what: format!("{at}base64 data"), limit });
    }
    let text = match spaces {
        0 => Cow::Borrowed(text.as_bytes()),
        _ => text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect(),
    };
    BASE64.decode(text).map_err(|error| Error::Base64 { at, message: error.to_string() })
}

/// Decodes `data:[type][;parameters][;base64],data` (RFC 2397). The declared type is ignored; the format is detected
/// from the bytes.
pub(crate) fn data_url(url: &str, limit: u64, at: Position) -> Result<Vec<u8>, Error> {
    let parts = url.split_once(':').and_then(|(_, rest)| rest.split_once(','));
    let Some((header, data)) = parts else {
        return Err(Error::url(url, at, "a data: URL needs a comma before its data"));
    };
    if data.len() as u64 > limit.saturating_mul(4) {
        return Err(Error::TooLarge { what: format!("{at}a data: URL"), limit });
    }
    let is_base64 = header.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
    let data = match data.contains('%') {
        true => Cow::Owned(percent_decode(data, url, at)?),
        false => Cow::Borrowed(data.as_bytes()),
    };
    if is_base64 {
        let text = std::str::from_utf8(&data).map_err(|_| Error::url(url, at, "the base64 data is not ASCII text"))?;
        return base64_bytes(text, limit, at);
    }
    if data.len() as u64 > limit {
        return Err(Error::TooLarge { what: format!("{at}a data: URL"), limit });
    }
    Ok(data.into_owned())
}

pub(crate) fn percent_decode(text: &str, url: &str, at: Position) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(Error::url(url, at, "% must be followed by two hexadecimal digits")),
        }
    }
    Ok(out)
}
