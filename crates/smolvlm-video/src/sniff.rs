//! Detection of images and videos by the contents and name of a file.

use crate::structure::{bytes_at, is_first_box};
use image::ImageFormat;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The kind of a media file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A single image.
    Image,
    /// A container, an animation of at least two frames, or a folder of images.
    Video,
}

/// File extensions of videos.
const VIDEO_EXTENSIONS: [&str; 31] = [
    "mp4", "m4v", "mov", "qt", "3gp", "3g2", "mkv", "webm", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "vob", "m2v",
    "mpv", "flv", "f4v", "wmv", "asf", "ogv", "ogm", "mjpeg", "mjpg", "mxf", "ivf", "y4m", "h264", "264", "hevc",
];

/// File extensions of images, including animations.
const IMAGE_EXTENSIONS: [&str; 10] = ["png", "apng", "jpg", "jpeg", "jpe", "webp", "gif", "bmp", "tif", "tiff"];

/// File extensions of files that are usually animated.
const ANIMATION_EXTENSIONS: [&str; 2] = ["gif", "apng"];

/// Maximum number of blocks, chunks or markers read to find a second frame.
const MAX_PARTS: usize = 1 << 20;

impl MediaKind {
    /// Detects the kind by the extension of a name; `None` for an unknown one.
    pub fn of_name(name: &str) -> Option<Self> {
        let extension = extension(Path::new(name))?;
        if VIDEO_EXTENSIONS.contains(&&*extension) || ANIMATION_EXTENSIONS.contains(&&*extension) {
            Some(Self::Video)
        } else {
            IMAGE_EXTENSIONS.contains(&&*extension).then_some(Self::Image)
        }
    }

    /// Detects the kind of a file by its contents, or by its name if the contents are unknown or cannot be read. A
    /// folder is a video. `None` if the extension is unknown, too.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.to_str().unwrap_or_default();
        // Checked before opening, because opening a pipe blocks until there is a writer.
        let Ok(metadata) = std::fs::metadata(path) else { return Self::of_name(name) };
        if metadata.is_dir() {
            return Some(Self::Video);
        }
        let file = if metadata.is_file() { File::open(path).ok() } else { None };
        let kind = file.and_then(|file| Self::of_bytes(&mut BufReader::new(file), name).ok());
        kind.unwrap_or_else(|| Self::of_name(name))
    }

    /// Detects the kind by contents, or by a name, which may be empty, if the contents are unknown.
    ///
    /// # Errors
    ///
    /// Those of reading the file.
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
            None if is_other_image(&head) => false,
            None => return Ok(Self::of_name(name)),
        };
        Ok(Some(if is_animated { Self::Video } else { Self::Image }))
    }
}

/// Number of bytes read to detect a format: enough for the start of the third packet of a transport stream.
const HEAD: u64 = 1024;

/// The extension of a name in lower case.
fn extension(path: &Path) -> Option<String> {
    path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase)
}

/// Whether a file in a folder counts as a frame: it is not hidden and has the extension of an image format.
pub(crate) fn is_frame(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && extension(path).is_some_and(|extension| IMAGE_EXTENSIONS.contains(&&*extension))
}

/// Whether a file has the signature of a video container or a raw video stream.
fn is_container(head: &[u8]) -> bool {
    const SIGNATURES: [&[u8]; 16] = [
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
    let is_movie = box_kind.is_some() && !has_image_brand(head);
    let is_avi = head.starts_with(b"RIFF") && head.get(8..11) == Some(b"AVI");
    SIGNATURES.iter().any(|signature| head.starts_with(signature)) || is_movie || is_avi || is_transport_stream(head)
}

/// Whether an ISO base media file is an image: HEIF or AVIF.
fn has_image_brand(head: &[u8]) -> bool {
    let brands: [&[u8]; 9] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"];
    head.get(4..8) == Some(b"ftyp") && head.get(8..12).is_some_and(|brand| brands.contains(&brand))
}

/// Whether a file is an image in a format without a decoder: HEIF, AVIF, JPEG 2000 or JPEG XL.
fn is_other_image(head: &[u8]) -> bool {
    let signatures: [&[u8]; 4] = [b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"\xff\x0a", b"\0\0\0\x0cJXL "];
    has_image_brand(head) || signatures.iter().any(|signature| head.starts_with(signature))
}

/// Whether there are three consecutive packets of a transport stream: of 188 bytes, of 192 with a time code, or of 204.
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
            // An extension block and its label.
            Some([0x21]) => at += 2,
            Some([0x2c]) => {
                images += 1;
                let Some([flags]) = bytes_at::<1>(file, at + 9)? else { return Ok(false) };
                if images == 2 {
                    return Ok(true);
                }
                // The minimum code size follows the descriptor and the color table.
                at += 11 + table(flags);
            }
            _ => return Ok(false),
        }
        // Sub-blocks up to an empty one.
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

/// Whether a PNG declares at least two frames before its pixels (PNG specification, third edition, `acTL`).
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

/// Whether a WebP file has at least two frames.
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

/// Whether another JPEG file follows the first one. Photos with embedded images are excluded: files with the extension
/// of an image or in the multi-picture format (MPF).
fn is_jpeg_stream(file: &mut (impl Read + Seek), name: &str) -> io::Result<bool> {
    match extension(Path::new(name)).as_deref() {
        Some("mjpeg" | "mjpg") => return Ok(true),
        Some(extension) if IMAGE_EXTENSIONS.contains(&extension) => return Ok(false),
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

/// Whether the scans of a JPEG file end with an end marker directly followed by another JPEG file.
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
    fn contents_take_precedence_over_names() {
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
    fn concatenated_jpeg_files_are_a_video_except_multi_picture_files() {
        let one = std::fs::read(corpus("corpus/harbour.jpg")).unwrap();
        let two = [&one[..], &one[..]].concat();
        assert_eq!((of(&one, ""), of(&two, "")), (Some(MediaKind::Image), Some(MediaKind::Video)));
        assert_eq!((of(&two, "a.JPG"), of(&one, "a.mjpeg")), (Some(MediaKind::Image), Some(MediaKind::Video)));
        let mut mpf = two.clone();
        mpf.splice(2..2, *b"\xff\xe2\0\x06MPF\0");
        assert_eq!(of(&mpf, ""), Some(MediaKind::Image));
    }

    #[test]
    fn names_decide_if_contents_are_unknown() {
        assert_eq!(of(b"", "a.MP4"), Some(MediaKind::Video));
        assert_eq!((of(b"what", ""), of(b"what", "a.txt"), of(b"what", "b.png")), (None, None, Some(MediaKind::Image)));
        assert_eq!(of(b"\0\0\0\x1cftypavif\0\0\0\0", "a"), Some(MediaKind::Image));
        assert_eq!(MediaKind::of_path(Path::new("no/such.webm")), Some(MediaKind::Video));
    }

    #[test]
    fn hidden_and_other_files_are_not_frames() {
        for name in ["f1.png", "F2.JPG", "a.b.tiff"] {
            assert!(is_frame(Path::new(name)), "{name}");
        }
        for name in ["._f1.png", ".hidden.png", "notes.txt", "Thumbs.db", "png"] {
            assert!(!is_frame(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn truncated_files_do_not_panic() {
        for name in ["corpus/clips/moving.gif", "corpus/clips/moving.webp", "corpus/clips/moving.apng"] {
            let bytes = std::fs::read(corpus(name)).unwrap();
            for end in 0..bytes.len() {
                of(&bytes[..end], "");
            }
        }
    }
}
