//! Image or video, by what a file holds and how it is called.

use crate::structure::{bytes_at, is_first_box};
use image::ImageFormat;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// What a file is to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// One picture.
    Image,
    /// Several pictures: a container, an animation of two frames or more, or a folder of images.
    Video,
}

/// Endings of names of videos.
const VIDEO_ENDINGS: [&str; 31] = [
    "mp4", "m4v", "mov", "qt", "3gp", "3g2", "mkv", "webm", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "vob", "m2v",
    "mpv", "flv", "f4v", "wmv", "asf", "ogv", "ogm", "mjpeg", "mjpg", "mxf", "ivf", "y4m", "h264", "264", "hevc",
];

/// Endings of names of images; those of animations among them.
const IMAGE_ENDINGS: [&str; 10] = ["png", "apng", "jpg", "jpeg", "jpe", "webp", "gif", "bmp", "tif", "tiff"];

/// Endings of names of files that are usually animated.
const ANIMATION_ENDINGS: [&str; 2] = ["gif", "apng"];

/// Blocks, chunks or markers of a file that are read at most to find a second frame.
const MAX_PARTS: usize = 1 << 20;

impl MediaKind {
    /// What a name says, by its ending; none for an ending that is neither.
    pub fn of_name(name: &str) -> Option<Self> {
        let ending = ending(Path::new(name))?;
        if VIDEO_ENDINGS.contains(&&*ending) || ANIMATION_ENDINGS.contains(&&*ending) {
            Some(Self::Video)
        } else {
            IMAGE_ENDINGS.contains(&&*ending).then_some(Self::Image)
        }
    }

    /// What a file holds, or else what its name says; a folder is a video. None if neither says anything, or the file cannot be
    /// read and its name says nothing.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.to_str().unwrap_or_default();
        // Asked before opening: opening a pipe would wait for a writer.
        let Ok(metadata) = std::fs::metadata(path) else { return Self::of_name(name) };
        if metadata.is_dir() {
            return Some(Self::Video);
        }
        let file = if metadata.is_file() { File::open(path).ok() } else { None };
        let held = file.and_then(|file| Self::of_bytes(&mut BufReader::new(file), name).ok());
        held.unwrap_or_else(|| Self::of_name(name))
    }

    /// What bytes hold, or else what the file's name says, which may be empty.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn of_bytes(file: &mut (impl Read + Seek), name: &str) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.by_ref().take(HEAD).read_to_end(&mut head)?;
        if is_container(&head) {
            return Ok(Some(Self::Video));
        }
        let is_animated = match image::guess_format(&head).ok() {
            Some(ImageFormat::Gif) => gif_is_animated(file)?,
            Some(ImageFormat::Png) => png_is_animated(file)?,
            Some(ImageFormat::WebP) => webp_is_animated(file)?,
            Some(ImageFormat::Jpeg) => is_jpeg_stream(file, name)?,
            Some(_) => false,
            None if is_picture(&head) => false,
            None => return Ok(Self::of_name(name)),
        };
        Ok(Some(if is_animated { Self::Video } else { Self::Image }))
    }
}

/// Bytes that tell a format: the third packet of a transport stream with time codes begins within them.
const HEAD: u64 = 1024;

/// The ending of a name in lower case.
fn ending(path: &Path) -> Option<String> {
    path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase)
}

/// Whether a file in a folder of frames is one of them: it is not hidden, and its name ends like an image's.
pub(crate) fn is_frame(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && ending(path).is_some_and(|ending| IMAGE_ENDINGS.contains(&&*ending))
}

/// Whether a file begins like a video container or a raw video stream.
fn is_container(head: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 16] = [
        b"\x1a\x45\xdf\xa3",                 // Matroska, WebM
        b"FLV\x01",                          // Flash
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", // ASF
        b"OggS",
        b"DKIF",      // IVF
        b"YUV4MPEG2", // Y4M
        b".RMF",      // RealMedia
        b"nut/multimedia container",
        b"\x06\x0e\x2b\x34\x02\x05\x01\x01", // MXF
        b"\0\0\x01\xba",                     // MPEG program stream
        b"\0\0\x01\xb3",                     // MPEG-1 and MPEG-2 video
        b"\0\0\x01\xb0",                     // MPEG-4 video
        b"\0\0\0\x01\x67",                   // H.264
        b"\0\0\x01\x67",
        b"\0\0\0\x01\x09",
        b"\0\0\0\x01\x40\x01", // H.265
    ];
    let box_kind = head.get(4..8).and_then(|kind| kind.try_into().ok()).filter(|&kind| is_first_box(kind));
    let is_movie = box_kind.is_some() && !has_picture_brand(head);
    let is_avi = head.starts_with(b"RIFF") && head.get(8..11) == Some(b"AVI");
    BEGINNINGS.iter().any(|beginning| head.starts_with(beginning)) || is_movie || is_avi || is_transport_stream(head)
}

/// Whether an ISO base media file holds pictures: HEIF and AVIF.
fn has_picture_brand(head: &[u8]) -> bool {
    let brands: [&[u8]; 9] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"];
    head.get(4..8) == Some(b"ftyp") && head.get(8..12).is_some_and(|brand| brands.contains(&brand))
}

/// Pictures that no decoder here reads, but that are no videos either: HEIF, AVIF, JPEG 2000 and JPEG XL.
fn is_picture(head: &[u8]) -> bool {
    let beginnings: [&[u8]; 4] = [b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"\xff\x0a", b"\0\0\0\x0cJXL "];
    has_picture_brand(head) || beginnings.iter().any(|beginning| head.starts_with(beginning))
}

/// Whether three packets of a transport stream follow each other, of 188 bytes, or of 192 after a time code, or of 204.
fn is_transport_stream(head: &[u8]) -> bool {
    [(0, 188), (4, 192), (0, 204)]
        .iter()
        .any(|&(start, size)| (0..3).all(|packet| head.get(start + packet * size) == Some(&0x47)))
}

/// Whether a GIF has two image descriptors (GIF89a, section 20).
fn gif_is_animated(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 * (2_u64 << (flags & 7)) };
    let Some([flags]) = bytes_at::<1>(file, 10)? else { return Ok(false) };
    let mut at = 13 + table(flags);
    let (mut images, mut parts) = (0, 0);
    while parts < MAX_PARTS {
        match bytes_at::<1>(file, at)? {
            // An extension and its label.
            Some([0x21]) => at += 2,
            Some([0x2c]) => {
                images += 1;
                let Some([flags]) = bytes_at::<1>(file, at + 9)? else { return Ok(false) };
                if images == 2 {
                    return Ok(true);
                }
                // The smallest code size follows the descriptor and the colors.
                at += 11 + table(flags);
            }
            _ => return Ok(false),
        }
        // Blocks of data up to an empty one.
        while parts < MAX_PARTS {
            let Some([size]) = bytes_at::<1>(file, at)? else { return Ok(false) };
            at += 1 + u64::from(size);
            parts += 1;
            if size == 0 {
                break;
            }
        }
    }
    Ok(false)
}

/// Whether a PNG announces two frames or more before its pixels (PNG specification, third edition, `acTL`).
fn png_is_animated(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut at = 8_u64;
    for _ in 0..MAX_PARTS {
        let Some([a, b, c, d, kind @ ..]) = bytes_at::<8>(file, at)? else { return Ok(false) };
        match &kind {
            b"acTL" => return Ok(bytes_at(file, at + 8)?.is_some_and(|frames| u32::from_be_bytes(frames) > 1)),
            b"IDAT" | b"IEND" => return Ok(false),
            _ => at += 12 + u64::from(u32::from_be_bytes([a, b, c, d])),
        }
    }
    Ok(false)
}

/// Whether a WebP has two frames or more.
fn webp_is_animated(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut at = 12_u64;
    let mut frames = 0;
    for _ in 0..MAX_PARTS {
        let Some([kind @ .., a, b, c, d]) = bytes_at::<8>(file, at)? else { return Ok(false) };
        frames += usize::from(&kind == b"ANMF");
        if frames == 2 {
            return Ok(true);
        }
        let size = u64::from(u32::from_le_bytes([a, b, c, d]));
        at += 8 + size + size % 2;
    }
    Ok(false)
}

/// Whether another JPEG file follows the first one. A camera's picture may hold smaller ones and ends like an image; with such a
/// name, or where the format for several pictures in one (MPF) is announced, it is an image.
fn is_jpeg_stream(file: &mut (impl Read + Seek), name: &str) -> io::Result<bool> {
    match ending(Path::new(name)).as_deref() {
        Some("mjpeg" | "mjpg") => return Ok(true),
        Some(ending) if IMAGE_ENDINGS.contains(&ending) => return Ok(false),
        _ => {}
    }
    let mut at = 2_u64;
    for _ in 0..MAX_PARTS {
        match bytes_at::<8>(file, at)? {
            Some([0xff, 0xe2, _, _, b'M', b'P', b'F', 0]) => return Ok(false),
            Some([0xff, 0xda, high, low, ..]) => {
                file.seek(SeekFrom::Start(at + 2 + u64::from(u16::from_be_bytes([high, low]))))?;
                return another_follows(file);
            }
            Some([0xff, marker, high, low, ..]) if marker >= 0xc0 => {
                at += 2 + u64::from(u16::from_be_bytes([high, low]));
            }
            _ => return Ok(false),
        }
    }
    Ok(false)
}

/// Whether the data of a JPEG's scans end with the end marker and the beginning of another file right behind it.
fn another_follows(file: &mut impl Read) -> io::Result<bool> {
    let mut last = [0_u8; 5];
    let mut file = BufReader::new(file).bytes();
    loop {
        let Some(byte) = file.next().transpose()? else { return Ok(false) };
        last.rotate_left(1);
        last[4] = byte;
        if last == [0xff, 0xd9, 0xff, 0xd8, 0xff] {
            return Ok(true);
        }
        if last[..2] == [0xff, 0xd9] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MediaKind, is_frame};
    use std::io::Cursor;
    use std::path::{Path, PathBuf};

    fn corpus(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(name)
    }

    fn of(bytes: &[u8], name: &str) -> Option<MediaKind> {
        MediaKind::of_bytes(&mut Cursor::new(bytes), name).unwrap()
    }

    #[test]
    fn files_tell_what_they_are_whatever_they_are_called() {
        let clips = [
            "plain.mp4",
            "transport.ts",
            "raw.h264",
            "ntsc.mkv",
            "packed.avi",
            "hidden-frames.webm",
            "moving.gif",
            "moving.webp",
            "moving.apng",
        ];
        for name in clips {
            let bytes = std::fs::read(corpus("corpus/clips").join(name)).unwrap();
            assert_eq!(of(&bytes, "picture.png"), Some(MediaKind::Video), "{name}");
            assert_eq!(MediaKind::of_path(&corpus("corpus/clips").join(name)), Some(MediaKind::Video), "{name}");
        }
        for name in ["corpus/harbour.jpg", "golden/media/square.png"] {
            assert_eq!(of(&std::fs::read(corpus(name)).unwrap(), "clip.mp4"), Some(MediaKind::Image), "{name}");
        }
        assert_eq!(MediaKind::of_path(&corpus("corpus/clips")), Some(MediaKind::Video));
    }

    #[test]
    fn animations_of_one_frame_are_images() {
        let gif = |images: usize| {
            let image = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0".repeat(images);
            [b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff", &image[..], b";"].concat()
        };
        assert_eq!((of(&gif(1), ""), of(&gif(2), "")), (Some(MediaKind::Image), Some(MediaKind::Video)));
        let webp =
            |frames: usize| [b"RIFF\0\0\0\0WEBPVP8X\x02\0\0\0ab", &b"ANMF\x01\0\0\0x\0".repeat(frames)[..]].concat();
        assert_eq!((of(&webp(1), ""), of(&webp(2), "")), (Some(MediaKind::Image), Some(MediaKind::Video)));
        let png = |frames: u8| [b"\x89PNG\r\n\x1a\n\0\0\0\x08acTL\0\0\0", &[frames, 0, 0, 0, 0][..]].concat();
        assert_eq!((of(&png(1), ""), of(&png(2), "")), (Some(MediaKind::Image), Some(MediaKind::Video)));
    }

    #[test]
    fn jpeg_files_in_a_row_are_a_video_unless_they_are_one_picture() {
        let one = std::fs::read(corpus("corpus/harbour.jpg")).unwrap();
        let two = [&one[..], &one[..]].concat();
        assert_eq!((of(&one, ""), of(&two, "")), (Some(MediaKind::Image), Some(MediaKind::Video)));
        assert_eq!((of(&two, "a.JPG"), of(&one, "a.mjpeg")), (Some(MediaKind::Image), Some(MediaKind::Video)));
        let mut mpf = two.clone();
        mpf.splice(2..2, *b"\xff\xe2\0\x06MPF\0");
        assert_eq!(of(&mpf, ""), Some(MediaKind::Image));
    }

    #[test]
    fn names_tell_where_bytes_do_not() {
        assert_eq!(of(b"", "a.MP4"), Some(MediaKind::Video));
        assert_eq!((of(b"what", ""), of(b"what", "a.txt"), of(b"what", "b.png")), (None, None, Some(MediaKind::Image)));
        assert_eq!(of(b"\0\0\0\x1cftypavif\0\0\0\0", "a"), Some(MediaKind::Image));
        assert_eq!(MediaKind::of_path(Path::new("no/such.webm")), Some(MediaKind::Video));
    }

    #[test]
    fn frames_of_a_folder_are_its_visible_images() {
        for name in ["f1.png", "F2.JPG", "a.b.tiff"] {
            assert!(is_frame(Path::new(name)), "{name}");
        }
        for name in ["._f1.png", ".hidden.png", "notes.txt", "Thumbs.db", "png"] {
            assert!(!is_frame(Path::new(name)), "{name}");
        }
    }

    /// Nothing panics or hangs, wherever a file is cut off.
    #[test]
    fn every_length_is_something() {
        for name in ["corpus/clips/moving.gif", "corpus/clips/moving.webp", "corpus/clips/moving.apng"] {
            let bytes = std::fs::read(corpus(name)).unwrap();
            for end in 0..bytes.len() {
                of(&bytes[..end], "");
            }
        }
    }
}
