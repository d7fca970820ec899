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

/// More bytes at the end of a stream than one packet or page has.
const PACKET_TAIL: u64 = 1 << 17;

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
            [b'O', b'g', b'g', b'S', ..] => ogg(file, len),
            [0xff, 0xd8, 0xff, ..] => jpegs(file, len),
            [_, _, _, _, kind @ .., _, _, _, _] if is_first_box(kind) => boxes(file, len),
            _ => transport_stream(file, len),
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
        // A live recording does not know its length, only that of its parts.
        Some((start, None)) => return live_segment(file, start, len),
        None => Structure::CutOff,
    })
}

/// The elements of a segment of unknown length, and within it those of clusters of unknown length.
fn live_segment(file: &mut (impl Read + Seek), start: u64, len: u64) -> io::Result<Structure> {
    const CLUSTER: u64 = 0x1f43_b675;
    let mut at = start;
    for _ in 0..MAX_BOXES {
        if at >= len {
            break;
        }
        // Four bytes of an identifier, and a size.
        let Some((id, size_at)) = identifier(file, at)? else { return Ok(Structure::CutOff) };
        match variable_size(file, size_at)? {
            Some((data, None)) if id == CLUSTER => at = data,
            Some((_, None)) => return Ok(Structure::Unknown),
            Some((data, Some(size))) => match data.checked_add(size).filter(|&end| end <= len) {
                Some(end) => at = end,
                None => return Ok(Structure::CutOff),
            },
            None => return Ok(Structure::CutOff),
        }
    }
    Ok(Structure::Unknown)
}

/// The identifier of an element, with the bits that tell its length, and where its size is.
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

/// The end code of an MPEG program stream, which a whole file need not have, or else the length of its last packet (ISO/IEC
/// 13818-1, section 2.5).
fn program_stream(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = tail(file, len, PACKET_TAIL)?;
    if tail.ends_with(&[0, 0, 1, 0xb9]) {
        return Ok(Structure::Whole);
    }
    // Video data holds no codes above B9.
    let is_packet = |bytes: &[u8]| bytes.starts_with(&[0, 0, 1]) && bytes[3] > 0xb9;
    let Some(at) = tail.windows(4).rposition(is_packet) else { return Ok(Structure::Unknown) };
    let announced = match tail[at..] {
        // A pack header.
        [_, _, _, 0xba, ..] => 12,
        [_, _, _, _, high, low, ..] => 6 + usize::from(u16::from_be_bytes([high, low])),
        _ => return Ok(Structure::CutOff),
    };
    Ok(if announced > tail.len() - at { Structure::CutOff } else { Structure::Unknown })
}

/// Whole packets of an MPEG transport stream, whose last one a file that was cut off rarely ends with.
fn transport_stream(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    for (start, size) in [(0, 188), (4, 192), (0, 204)] {
        let mut is_stream = len >= 3 * size;
        for packet in 0..3 {
            is_stream = is_stream && bytes_at(file, start + packet * size)? == Some([0x47]);
        }
        if is_stream {
            return Ok(if len.is_multiple_of(size) { Structure::Unknown } else { Structure::CutOff });
        }
    }
    Ok(Structure::Unknown)
}

/// The last page of an Ogg file, which ends a stream (RFC 3533, section 6).
fn ogg(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = tail(file, len, PACKET_TAIL)?;
    let Some(at) = tail.windows(5).rposition(|bytes| bytes == b"OggS\0") else { return Ok(Structure::Unknown) };
    let page = &tail[at..];
    let sizes = page.get(26).and_then(|&segments| page.get(27..27 + usize::from(segments)));
    let Some(sizes) = sizes else { return Ok(Structure::CutOff) };
    let end = 27 + sizes.len() + sizes.iter().map(|&size| usize::from(size)).sum::<usize>();
    let is_last = page[5] & 4 != 0;
    Ok(if end <= page.len() && is_last { Structure::Whole } else { Structure::CutOff })
}

/// The last `count` bytes of a file, or all of a shorter one.
fn tail(file: &mut (impl Read + Seek), len: u64, count: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(len.saturating_sub(count)))?;
    let mut tail = Vec::new();
    file.take(count).read_to_end(&mut tail)?;
    Ok(tail)
}

/// The end marker of the last JPEG of a stream; zeros may follow it.
fn jpegs(file: &mut (impl Read + Seek), len: u64) -> io::Result<Structure> {
    let tail = tail(file, len, 4096)?;
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
        for name in ["transport.ts", "live.mkv", "ps10s.mpg"] {
            let bytes = clip(name);
            assert!(matches!(of(&bytes), Structure::Unknown | Structure::Whole), "{name}");
            assert_eq!(of(&bytes[..bytes.len() / 2 + 5]), Structure::CutOff, "{name}");
        }
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
        assert_eq!(of(b"\0\0\x01\xba--------\0\0\x01\xe0\0\x02ab"), Structure::Unknown);
        assert_eq!(of(b"\0\0\x01\xba--------\0\0\x01\xe0\0\x02a"), Structure::CutOff);
        let page = [b"OggS\0\x04".as_slice(), &[0; 20], &[1, 3], b"abc"].concat();
        assert_eq!((of(&page), of(&page[..page.len() - 1])), (Structure::Whole, Structure::CutOff));
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
