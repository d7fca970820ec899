//! Detection of truncated containers by the lengths that their formats declare.

use std::io::{self, Read, Seek, SeekFrom};

/// Completeness of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Structure {
    /// As long as its format declares.
    Complete,
    /// Shorter than declared.
    Truncated,
    /// An MP4 file without its index, which cannot be read.
    MissingIndex,
    /// A stream of JPEG files, the last of which is truncated.
    PartialFrame,
    /// The format is unknown or does not declare a length.
    Unknown,
}

/// Maximum number of boxes or chunks that are checked; a file with more counts as complete.
const MAX_BOXES: usize = 1 << 20;

/// Number of bytes at the end of a stream that contain at least one packet or page.
const PACKET_TAIL: u64 = 1 << 17;

impl Structure {
    /// Checks a file against its declared lengths.
    pub(crate) fn of(file: &mut (impl Read + Seek)) -> io::Result<Self> {
        let len = file.seek(SeekFrom::End(0))?;
        let head: [u8; 12] = bytes_at(file, 0)?.unwrap_or_default();
        match head {
            [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska(file, len),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', ..] => avi(file, len),
            [b'F', b'L', b'V', ..] => flv(file, len),
            [0, 0, 1, 0xba, ..] => program_stream(file, len),
            [b'O', b'g', b'g', b'S', ..] => ogg(file, len),
            [0xff, 0xd8, 0xff, ..] => jpegs(file, len),
            [_, _, _, _, kind @ .., _, _, _, _] if is_first_box(kind) => boxes(file, len),
            _ => transport_stream(file, len),
        }
    }

    fn within(end: Option<u64>, len: u64) -> Self {
        if end.is_some_and(|end| end <= len) { Self::Complete } else { Self::Truncated }
    }
}

/// Whether an MP4 or QuickTime file can begin with this box.
pub(crate) fn is_first_box(kind: [u8; 4]) -> bool {
    matches!(&kind, b"ftyp" | b"styp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot")
}

/// Checks the boxes of an MP4 file (ISO/IEC 14496-12, section 4.2).
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
            return Ok(if has_index { Structure::Truncated } else { Structure::MissingIndex });
        };
        has_index |= &kind == b"moov";
        if size < 8 {
            return Ok(Structure::Unknown);
        }
        at = end;
    }
    Ok(if has_index { Structure::Complete } else { Structure::MissingIndex })
}

/// Checks the RIFF chunks of an AVI file.
fn avi(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let mut at = 0_u64;
    for _ in 0..MAX_BOXES {
        let Some([b'R', b'I', b'F', b'F', size @ ..]) = bytes_at::<8>(file, at)? else { break };
        let size = u32::from_le_bytes(size);
        if size == 0 {
            // The writer did not finish the file.
            return Ok(Structure::Unknown);
        }
        at = at + 8 + u64::from(size) + u64::from(size % 2);
        if at > len + 1 {
            return Ok(Structure::Truncated);
        }
    }
    Ok(Structure::Complete)
}

/// Checks the header and the segment of a Matroska file (RFC 9559).
fn matroska(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let Some((header, size)) = variable_size(file, 4)? else { return Ok(Structure::Truncated) };
    let segment = size.and_then(|size| header.checked_add(size));
    let Some(segment) = segment else { return Ok(Structure::Unknown) };
    match bytes_at::<4>(file, segment)? {
        Some([0x18, 0x53, 0x80, 0x67]) => {}
        Some(_) => return Ok(Structure::Unknown),
        None => return Ok(Structure::Truncated),
    }
    Ok(match variable_size(file, segment + 4)? {
        Some((start, Some(size))) => Structure::within(start.checked_add(size), len),
        // Only the parts of a live recording have a known length.
        Some((start, None)) => return live_segment(file, start, len),
        None => Structure::Truncated,
    })
}

/// Checks the elements of a segment of unknown length, and those within clusters of unknown length.
fn live_segment(file: &mut (impl Read + Seek), start: u64, len: u64) -> io::Result<Structure> {
    const CLUSTER: u64 = 0x1f43_b675;
    let mut at = start;
    for _ in 0..MAX_BOXES {
        if at >= len {
            break;
        }
        let Some((id, size_at)) = identifier(file, at)? else { return Ok(Structure::Truncated) };
        match variable_size(file, size_at)? {
            Some((data, None)) if id == CLUSTER => at = data,
            Some((_, None)) => return Ok(Structure::Unknown),
            Some((data, Some(size))) => match data.checked_add(size).filter(|&end| end <= len) {
                Some(end) => at = end,
                None => return Ok(Structure::Truncated),
            },
            None => return Ok(Structure::Truncated),
        }
    }
    Ok(Structure::Unknown)
}

/// The identifier of an element, including its length bits, and the offset of the element's size.
fn identifier(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<(u64, u64)>> {
    let Some([first]) = bytes_at::<1>(file, at)? else { return Ok(None) };
    let mut id = u64::from(first);
    let more = u64::from(first.leading_zeros().min(3));
    for byte in 1..=more {
        let Some([next]) = bytes_at::<1>(file, at + byte)? else { return Ok(None) };
        id = id << 8 | u64::from(next);
    }
    Ok(Some((id, at + 1 + more)))
}

/// The offset of an element's data and the element's size; `None` for a size that was unknown to the writer.
fn variable_size(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<(u64, Option<u64>)>> {
    let Some([first]) = bytes_at::<1>(file, at)? else { return Ok(None) };
    // The number of leading zeros is the number of bytes that follow.
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

/// Checks the last tag of an FLV file, whose size the last four bytes repeat.
fn flv(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = len.checked_sub(4).map(|at| bytes_at(file, at)).transpose()?.flatten();
    let size = tail.map_or(u64::MAX, |tail| u64::from(u32::from_be_bytes(tail)));
    let tag = len.saturating_sub(4).checked_sub(size);
    let Some(tag) = tag.filter(|&tag| tag >= 9) else { return Ok(Structure::Truncated) };
    let Some([_, a, b, c]) = bytes_at(file, tag)? else { return Ok(Structure::Truncated) };
    let data = u64::from(u32::from_be_bytes([0, a, b, c]));
    Ok(if data + 11 == size { Structure::Complete } else { Structure::Truncated })
}

/// Checks the end code of an MPEG program stream, which is optional, or else the length of the last packet (ISO/IEC
/// 13818-1, section 2.5).
fn program_stream(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = tail(file, len, PACKET_TAIL)?;
    if tail.ends_with(&[0, 0, 1, 0xb9]) {
        return Ok(Structure::Complete);
    }
    // Video data contains no codes above B9.
    let is_packet = |bytes: &[u8]| bytes.starts_with(&[0, 0, 1]) && bytes[3] > 0xb9;
    let Some(at) = tail.windows(4).rposition(is_packet) else { return Ok(Structure::Unknown) };
    let declared = match tail[at..] {
        // A pack header.
        [_, _, _, 0xba, ..] => 12,
        [_, _, _, _, high, low, ..] => 6 + usize::from(u16::from_be_bytes([high, low])),
        _ => return Ok(Structure::Truncated),
    };
    Ok(if declared > tail.len() - at { Structure::Truncated } else { Structure::Unknown })
}

/// Checks that an MPEG transport stream ends with a complete packet; truncated files rarely do.
fn transport_stream(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    for (start, size) in [(0, 188), (4, 192), (0, 204)] {
        let mut is_stream = len >= 3 * size;
        for packet in 0..3 {
            is_stream = is_stream && bytes_at(file, start + packet * size)? == Some([0x47]);
        }
        if is_stream {
            return Ok(if len.is_multiple_of(size) { Structure::Unknown } else { Structure::Truncated });
        }
    }
    Ok(Structure::Unknown)
}

/// Checks the last page of an Ogg file, which must end a stream (RFC 3533, section 6).
fn ogg(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = tail(file, len, PACKET_TAIL)?;
    let Some(at) = tail.windows(5).rposition(|bytes| bytes == b"OggS\0") else { return Ok(Structure::Unknown) };
    let page = &tail[at..];
    let sizes = page.get(26).and_then(|&segments| page.get(27..27 + usize::from(segments)));
    let Some(sizes) = sizes else { return Ok(Structure::Truncated) };
    let end = 27 + sizes.len() + sizes.iter().map(|&size| usize::from(size)).sum::<usize>();
    let is_last = page[5] & 4 != 0;
    Ok(if end <= page.len() && is_last { Structure::Complete } else { Structure::Truncated })
}

/// The last `count` bytes of a file, or all of a shorter one.
fn tail(file: &mut (impl Read + Seek), len: u64, count: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(len.saturating_sub(count)))?;
    let mut tail = Vec::new();
    file.take(count).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Checks the end marker of the last JPEG of a stream; zeros may follow it.
fn jpegs(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = tail(file, len, 4096)?;
    let end = tail.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    Ok(if tail[..end].ends_with(&[0xff, 0xd9]) { Structure::Complete } else { Structure::PartialFrame })
}

/// Reads the bytes at an offset; `None` if the file ends before.
pub(crate) fn bytes_at<const N: usize>(file: &mut (impl Read + Seek), at: u64) -> io::Result<Option<[u8; N]>> {
    let now = file.stream_position()?;
    // Relative, so that a buffered reader keeps its buffer.
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
    fn truncated_files_are_detected() {
        for name in ["plain.mp4", "ntsc.mkv", "packed.avi", "hidden-frames.webm"] {
            let bytes = clip(name);
            assert_eq!(of(&bytes), Structure::Complete, "{name}");
            let cut = if name == "plain.mp4" { Structure::MissingIndex } else { Structure::Truncated };
            assert_eq!(of(&bytes[..bytes.len() - 5]), cut, "{name}");
        }
        for name in ["transport.ts", "live.mkv", "ps10s.mpg"] {
            let bytes = clip(name);
            assert!(matches!(of(&bytes), Structure::Unknown | Structure::Complete), "{name}");
            assert_eq!(of(&bytes[..bytes.len() / 2 + 5]), Structure::Truncated, "{name}");
        }
    }

    #[test]
    fn truncated_mp4_files_need_an_index_at_the_start() {
        let mut bytes = b"\0\0\0\x08moov\0\0\0\x0cmdat1234".to_vec();
        assert_eq!(of(&bytes), Structure::Complete);
        bytes.pop();
        assert_eq!(of(&bytes), Structure::Truncated);
        assert_eq!(of(b"\0\0\0\x0cmdat1234\0\0\0\x09moov"), Structure::MissingIndex);
    }

    #[test]
    fn ends_of_flv_program_stream_ogg_and_jpeg_files_are_checked() {
        let mut flv = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        flv.extend_from_slice(b"\x09\0\0\x02\0\0\0\0\0\0\0ab\0\0\0\x0d");
        assert_eq!(of(&flv), Structure::Complete);
        assert_eq!(of(&flv[..flv.len() - 1]), Structure::Truncated);
        assert_eq!(of(b"\0\0\x01\xba--------\0\0\x01\xb9"), Structure::Complete);
        assert_eq!(of(b"\0\0\x01\xba------------"), Structure::Unknown);
        assert_eq!(of(b"\0\0\x01\xba--------\0\0\x01\xe0\0\x02ab"), Structure::Unknown);
        assert_eq!(of(b"\0\0\x01\xba--------\0\0\x01\xe0\0\x02a"), Structure::Truncated);
        let page = [b"OggS\0\x04".as_slice(), &[0; 20], &[1, 3], b"abc"].concat();
        assert_eq!((of(&page), of(&page[..page.len() - 1])), (Structure::Complete, Structure::Truncated));
        assert_eq!(of(b"\xff\xd8\xff\xe0--------\xff\xd9\0\0"), Structure::Complete);
        assert_eq!(of(b"\xff\xd8\xff\xe0--------\xff"), Structure::PartialFrame);
    }

    #[test]
    fn truncated_files_do_not_panic() {
        for name in ["plain.mp4", "ntsc.mkv", "packed.avi", "live.mkv", "transport.ts"] {
            let bytes = clip(name);
            for end in 0..bytes.len() {
                of(&bytes[..end]);
            }
        }
    }
}
