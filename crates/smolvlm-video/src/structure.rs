//! Whether a container file is whole, by the lengths that its format announces.

use std::io::{self, Read, Seek, SeekFrom};

/// Whether a file is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Structure {
    /// As long as its format announces.
    Whole,
    /// Shorter than announced.
    CutOff,
    /// Without the index that an MP4 file cannot be read without.
    MissingIndex,
    /// A stream of JPEG files, the last of which has no end.
    PartialFrame,
    /// The format does not announce its length, or is not known.
    Unknown,
}

/// Boxes or chunks after which a file is taken for whole.
const MAX_BOXES: usize = 1 << 20;

impl Structure {
    /// Reads the lengths that a file announces.
    pub(crate) fn of(file: &mut (impl Read + Seek)) -> io::Result<Self> {
        let len = file.seek(SeekFrom::End(0))?;
        let head: [u8; 12] = bytes_at(file, 0)?.unwrap_or_default();
        match head {
            [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska(file, len),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', ..] => avi(file, len),
            [b'F', b'L', b'V', ..] => flv(file, len),
            [0, 0, 1, 0xba, ..] => program_stream(file, len),
            [0xff, 0xd8, 0xff, ..] => jpegs(file, len),
            [_, _, _, _, kind @ .., _, _, _, _] if is_first_box(kind) => boxes(file, len),
            _ => Ok(Self::Unknown),
        }
    }

    fn within(end: Option<u64>, len: u64) -> Self {
        if end.is_some_and(|end| end <= len) { Self::Whole } else { Self::CutOff }
    }
}

/// Whether an MP4 or QuickTime file can begin with this box.
pub(crate) fn is_first_box(kind: [u8; 4]) -> bool {
    matches!(&kind, b"ftyp" | b"styp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot")
}

/// The boxes of an MP4 file (ISO/IEC 14496-12, section 4.2).
fn boxes(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let (mut at, mut has_index) = (0_u64, false);
    for _ in 0..MAX_BOXES {
        let Some([a, b, c, d, kind @ ..]) = bytes_at::<8>(file, at)? else { break };
        let size = match u32::from_be_bytes([a, b, c, d]) {
            // Up to the end of the file.
            0 => len - at,
            1 => bytes_at(file, at + 8)?.map_or(u64::MAX, u64::from_be_bytes),
            size => size.into(),
        };
        let Some(end) = at.checked_add(size).filter(|&end| end <= len) else {
            return Ok(if has_index { Structure::CutOff } else { Structure::MissingIndex });
        };
        has_index |= &kind == b"moov";
        if size < 8 {
            return Ok(Structure::Unknown);
        }
        at = end;
    }
    Ok(if has_index { Structure::Whole } else { Structure::MissingIndex })
}

/// The chunks of an AVI file, one or several of type RIFF.
fn avi(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let mut at = 0_u64;
    for _ in 0..MAX_BOXES {
        let Some([b'R', b'I', b'F', b'F', size @ ..]) = bytes_at::<8>(file, at)? else { break };
        let size = u32::from_le_bytes(size);
        if size == 0 {
            // Never finished.
            return Ok(Structure::Unknown);
        }
        at = at + 8 + u64::from(size) + u64::from(size % 2);
        if at > len + 1 {
            return Ok(Structure::CutOff);
        }
    }
    Ok(Structure::Whole)
}

/// The header and the segment of a Matroska file (RFC 9559).
fn matroska(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let Some((header, size)) = variable_size(file, 4)? else { return Ok(Structure::CutOff) };
    let segment = size.and_then(|size| header.checked_add(size));
    let Some(segment) = segment else { return Ok(Structure::Unknown) };
    match bytes_at::<4>(file, segment)? {
        Some([0x18, 0x53, 0x80, 0x67]) => {}
        Some(_) => return Ok(Structure::Unknown),
        None => return Ok(Structure::CutOff),
    }
    Ok(match variable_size(file, segment + 4)? {
        Some((start, Some(size))) => Structure::within(start.checked_add(size), len),
        // A live recording does not know its length.
        Some((_, None)) => Structure::Unknown,
        None => Structure::CutOff,
    })
}

/// The size of an element at `at`, and where its data begins. None for a size that the writer did not know.
fn variable_size(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<(u64, Option<u64>)>> {
    let Some([first]) = bytes_at::<1>(file, at)? else { return Ok(None) };
    // The zeros in front of the first one say how many bytes follow.
    let more = first.leading_zeros();
    if more > 7 {
        return Ok(None);
    }
    let mut value = u64::from(first) & (0x7f >> more);
    for byte in 1..=u64::from(more) {
        let Some([next]) = bytes_at::<1>(file, at + byte)? else { return Ok(None) };
        value = value << 8 | u64::from(next);
    }
    let unknown = (1 << (7 * (more + 1))) - 1;
    Ok(Some((at + 1 + u64::from(more), (value != unknown).then_some(value))))
}

/// The last tag of an FLV file, which its last four bytes repeat the size of.
fn flv(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = len.checked_sub(4).map(|at| bytes_at(file, at)).transpose()?.flatten();
    let size = tail.map_or(u64::MAX, |tail| u64::from(u32::from_be_bytes(tail)));
    let tag = len.saturating_sub(4).checked_sub(size);
    let Some(tag) = tag.filter(|&tag| tag >= 9) else { return Ok(Structure::CutOff) };
    let Some([_, a, b, c]) = bytes_at(file, tag)? else { return Ok(Structure::CutOff) };
    let data = u64::from(u32::from_be_bytes([0, a, b, c]));
    Ok(if data + 11 == size { Structure::Whole } else { Structure::CutOff })
}

/// The end code of an MPEG program stream, which a whole file need not have.
fn program_stream(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = len.checked_sub(4).map(|at| bytes_at(file, at)).transpose()?.flatten();
    Ok(if tail == Some([0, 0, 1, 0xb9]) { Structure::Whole } else { Structure::Unknown })
}

/// The end marker of the last JPEG of a stream; zeros may follow it.
fn jpegs(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    file.seek(SeekFrom::Start(len.saturating_sub(4096)))?;
    let mut tail = Vec::new();
    file.take(4096).read_to_end(&mut tail)?;
    let end = tail.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    Ok(if tail[..end].ends_with(&[0xff, 0xd9]) { Structure::Whole } else { Structure::PartialFrame })
}

/// The bytes at a place; none beyond the end.
pub(crate) fn bytes_at<const N: usize>(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<[u8; N]>> {
    let now = file.stream_position()?;
    // Relative, so that a buffered reader keeps what it holds.
    match i64::try_from(i128::from(at) - i128::from(now)) {
        Ok(distance) => file.seek_relative(distance)?,
        Err(_) => return Ok(None),
    }
    let mut bytes = [0; N];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::Structure;
    use std::io::Cursor;

    fn of(bytes: &[u8]) -> Structure {
        Structure::of(&mut Cursor::new(bytes)).unwrap()
    }

    fn clip(name: &str) -> Vec<u8> {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/clips").join(name))
            .unwrap()
    }

    #[test]
    fn whole_files_are_as_long_as_they_say() {
        for name in ["plain.mp4", "ntsc.mkv", "packed.avi", "hidden-frames.webm"] {
            let bytes = clip(name);
            assert_eq!(of(&bytes), Structure::Whole, "{name}");
            let cut = if name == "plain.mp4" { Structure::MissingIndex } else { Structure::CutOff };
            assert_eq!(of(&bytes[..bytes.len() - 5]), cut, "{name}");
        }
        assert_eq!(of(&clip("transport.ts")), Structure::Unknown);
        assert_eq!(of(&clip("live.mkv")), Structure::Unknown);
    }

    #[test]
    fn an_index_in_front_makes_a_cut_off_file_readable() {
        let mut bytes = b"\0\0\0\x08moov\0\0\0\x0cmdat1234".to_vec();
        assert_eq!(of(&bytes), Structure::Whole);
        bytes.pop();
        assert_eq!(of(&bytes), Structure::CutOff);
        assert_eq!(of(b"\0\0\0\x0cmdat1234\0\0\0\x09moov"), Structure::MissingIndex);
    }

    #[test]
    fn tags_program_ends_and_jpeg_ends() {
        let mut flv = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        flv.extend_from_slice(b"\x09\0\0\x02\0\0\0\0\0\0\0ab\0\0\0\x0d");
        assert_eq!(of(&flv), Structure::Whole);
        assert_eq!(of(&flv[..flv.len() - 1]), Structure::CutOff);
        assert_eq!(of(b"\0\0\x01\xba--------\0\0\x01\xb9"), Structure::Whole);
        assert_eq!(of(b"\0\0\x01\xba------------"), Structure::Unknown);
        assert_eq!(of(b"\xff\xd8\xff\xe0--------\xff\xd9\0\0"), Structure::Whole);
        assert_eq!(of(b"\xff\xd8\xff\xe0--------\xff"), Structure::PartialFrame);
    }

    /// Nothing panics, wherever a file is cut off.
    #[test]
    fn every_length_has_a_structure() {
        for name in ["plain.mp4", "ntsc.mkv", "packed.avi", "live.mkv", "transport.ts"] {
            let bytes = clip(name);
            for end in 0..bytes.len() {
                of(&bytes[..end]);
            }
        }
    }
}
