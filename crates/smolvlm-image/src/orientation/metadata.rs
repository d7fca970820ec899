//! Orientation from a file's metadata, with the precedence of Pillow's `Image.getexif`.

use super::Orientation;
use super::directory::{Directory, Header};
use std::borrow::Cow;

/// The EXIF tag "Orientation".
const ORIENTATION: u16 = 0x0112;

/// Raw metadata that can contain an orientation.
#[derive(Debug, Default)]
pub(crate) struct Metadata<'a> {
    /// EXIF data, with or without the prefix "Exif\0\0".
    pub(crate) exif: Option<Cow<'a, [u8]>>,
    /// ImageMagick's "Raw profile type exif": lines of text with hexadecimal EXIF data from the fourth line on.
    pub(crate) raw_profile: Option<Cow<'a, [u8]>>,
    /// An XMP packet.
    pub(crate) xmp: Option<Cow<'a, [u8]>>,
}

impl Metadata<'_> {
    /// The orientation tag of the EXIF data, otherwise that of the raw profile; XMP is used only if the tag is missing
    /// there. Invalid metadata is ignored.
    pub(crate) fn orientation(&self) -> Orientation {
        let exif = match (&self.exif, &self.raw_profile) {
            (Some(exif), _) => Some(exif.clone()),
            (None, Some(profile)) => hexadecimal(profile).map(Cow::Owned),
            (None, None) => None,
        };
        let tag = exif.and_then(|exif| {
            let exif = without_prefix(&exif);
            // Pillow does not read BigTIFF structures in EXIF data.
            let header = Header::read(exif).filter(|header| !header.big_tiff)?;
            of_directory(&Directory::read(exif, header, header.first))
        });
        tag.or_else(|| self.xmp.as_deref().and_then(of_xmp)).unwrap_or_default()
    }
}

/// The orientation of a directory; `None` if it has no such tag. All numeric types are accepted, bytes and text are
/// not.
pub(crate) fn of_directory(directory: &Directory<'_>) -> Option<Orientation> {
    directory.field(ORIENTATION)?;
    Some(directory.first_number(ORIENTATION).map_or(Orientation::default(), |number| {
        // Non-integer values are ignored.
        (1..=8).find(|&exif| f64::from(exif) == number).map_or(Orientation::default(), Orientation::from_exif)
    }))
}

/// The orientation of an XMP packet: the digit of the first attribute or element `tiff:Orientation`.
pub(crate) fn of_xmp(xmp: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut rest = xmp;
    while let Some(at) = rest.windows(NAME.len()).position(|window| window == NAME) {
        rest = &rest[at + NAME.len()..];
        let value = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b">"));
        if let Some(digit) = value.and_then(|value| value.first()).filter(|byte| byte.is_ascii_digit()) {
            return Some(Orientation::from_exif(digit - b'0'));
        }
    }
    None
}

/// The metadata of a JPEG file: its APP1 segments before the first scan. EXIF data may be continued in a second
/// segment.
pub(crate) fn of_jpeg(bytes: &[u8]) -> Metadata<'_> {
    const EXIF: &[u8] = b"Exif\0\0";
    const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
    let mut metadata = Metadata::default();
    let mut rest = bytes;
    while let Some(start) = rest.iter().position(|&byte| byte == 0xff) {
        rest = &rest[start..];
        let Some(code_at) = rest.iter().position(|&byte| byte != 0xff) else { break };
        let code = rest[code_at];
        rest = &rest[code_at + 1..];
        match code {
            0xda => break,
            // Markers without a length: stuffed bytes, restarts, start and end of image.
            0x00 | 0x01 | 0xd0..=0xd9 => continue,
            _ => {}
        }
        let Some(&[high, low]) = rest.get(..2) else { break };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some(segment) = rest.get(2..length) else { break };
        rest = &rest[length..];
        if code != 0xe1 {
            continue;
        }
        if segment.starts_with(EXIF) {
            match &mut metadata.exif {
                Some(exif) => exif.to_mut().extend_from_slice(&segment[EXIF.len()..]),
                None => metadata.exif = Some(Cow::Borrowed(segment)),
            }
        } else if let Some(xmp) = segment.strip_prefix(XMP) {
            metadata.xmp = Some(Cow::Borrowed(xmp));
        }
    }
    metadata
}

/// EXIF data without its prefix, which some writers repeat.
fn without_prefix(exif: &[u8]) -> &[u8] {
    let once = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    once.strip_prefix(b"Exif\0\0").unwrap_or(once)
}

/// Decodes the hexadecimal lines of a raw profile; `None` if there are other characters.
fn hexadecimal(profile: &[u8]) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = profile
        .split(|&byte| byte == b'\n')
        .skip(3)
        .flatten()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|&byte| char::from(byte).to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::{Metadata, of_jpeg, of_xmp};
    use crate::orientation::Orientation;
    use std::borrow::Cow;

    /// Little-endian EXIF data with one tag, whose value follows the directory.
    fn exif(kind: u16, count: u32, value: &[u8]) -> Vec<u8> {
        let mut bytes = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01".to_vec();
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        if value.len() <= 4 {
            bytes.extend(value);
            bytes.resize(26, 0);
        } else {
            bytes.extend(26u32.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(value);
        }
        bytes
    }

    fn of_exif(exif: &[u8]) -> Orientation {
        Metadata { exif: Some(Cow::Borrowed(exif)), ..Metadata::default() }.orientation()
    }

    #[test]
    fn all_numeric_types_are_accepted() {
        let six = Orientation::from_exif(6);
        let numbers: [(u16, &[u8]); 10] = [
            (3, &[6, 0]),
            (4, &[6, 0, 0, 0]),
            (5, &[12, 0, 0, 0, 2, 0, 0, 0]),
            (6, &[6]),
            (8, &[6, 0]),
            (9, &[6, 0, 0, 0]),
            (11, &6f32.to_le_bytes()),
            (12, &6f64.to_le_bytes()),
            (13, &[6, 0, 0, 0]),
            (16, &[6, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (kind, value) in numbers {
            assert_eq!(of_exif(&exif(kind, 1, value)), six, "type {kind}");
        }
        // As in Pillow 13, which does not know type 17.
        for (kind, value) in [(1, &[6][..]), (2, b"6"), (7, &[6]), (17, &[6, 0, 0, 0, 0, 0, 0, 0]), (3, &[9, 0])] {
            assert_eq!(of_exif(&exif(kind, 1, value)), Orientation::default(), "type {kind}");
        }
        // The first of several values is used; an invalid count means no orientation.
        assert_eq!(of_exif(&exif(3, 2, &[6, 0, 3, 0])), six);
        for count in [0, 1 << 20, u32::MAX] {
            assert_eq!(of_exif(&exif(3, count, &[6, 0])), Orientation::default());
        }
        assert_eq!(of_exif(&[&b"Exif\0\0Exif\0\0"[..], &exif(3, 1, &[6, 0])].concat()), six);
        for length in 0..20 {
            assert_eq!(of_exif(&exif(3, 1, &[6, 0])[..length]), Orientation::default());
        }
    }

    #[test]
    fn xmp_is_used_only_without_an_exif_tag() {
        let xmp = Some(Cow::Borrowed(&b"<a tiff:Orientation=\"8\"/>"[..]));
        let with = |exif: Option<&[u8]>| Metadata {
            exif: exif.map(|exif| exif.to_vec().into()),
            raw_profile: None,
            xmp: xmp.clone(),
        };
        assert_eq!(with(None).orientation(), Orientation::from_exif(8));
        assert_eq!(with(Some(b"no EXIF data")).orientation(), Orientation::from_exif(8));
        assert_eq!(with(Some(&exif(3, 1, &[3, 0]))).orientation(), Orientation::from_exif(3));
        assert_eq!(with(Some(&exif(3, 1, &[9, 0]))).orientation(), Orientation::default());
        assert_eq!(of_xmp(b"<tiff:Orientation>6</tiff:Orientation>"), Some(Orientation::from_exif(6)));
        assert_eq!(of_xmp(b"tiff:Orientation='6' tiff:Orientation=\"3\""), Some(Orientation::from_exif(3)));
        assert_eq!(of_xmp(b"tiff:Orientation> 6<"), None);
    }

    #[test]
    fn raw_profile_is_hexadecimal() {
        let hex: String = exif(3, 1, &[6, 0]).iter().map(|byte| format!("{byte:02x}")).collect();
        let profile = format!("\nexif\n      26\n{}\n{}\n", &hex[..20], &hex[20..]);
        let of = |profile: &str| {
            Metadata { raw_profile: Some(profile.as_bytes().into()), ..Metadata::default() }.orientation()
        };
        assert_eq!(of(&profile), Orientation::from_exif(6));
        assert_eq!(of(&profile.replace("49", "4x")), Orientation::default());
    }

    #[test]
    fn jpeg_metadata_precedes_the_first_scan() {
        let segment =
            |code: u8, data: &[u8]| [&[0xff, code], &(data.len() as u16 + 2).to_be_bytes()[..], data].concat();
        let (first, rest) = (exif(3, 1, &[6, 0]), [1, 2]);
        let parts = [
            vec![0xff, 0xd8, 0xff],
            segment(0xe0, b"JFIF\0"),
            segment(0xe1, &[b"Exif\0\0", &first[..]].concat()),
            segment(0xe1, &[b"Exif\0\0", &rest[..]].concat()),
            segment(0xda, b""),
            segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        ]
        .concat();
        let metadata = of_jpeg(&parts);
        assert_eq!(metadata.exif.as_deref(), Some(&[b"Exif\0\0", &first[..], &rest].concat()[..]));
        assert!(metadata.xmp.is_none());
        assert_eq!(metadata.orientation(), Orientation::from_exif(6));
    }
}
