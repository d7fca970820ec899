//! Peak memory of small files that claim or contain gigabytes.
#![cfg(target_os = "linux")]

mod support;

use flate2::{Compression, write::ZlibEncoder};
use smolvlm_image::{Limits, decode, dimensions};
use std::io::Write;
use support::crc32;

/// Size of what is compressed in a file.
const BOMB: usize = 512 << 20;

/// The largest resident size so far, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// Zeros, compressed by a factor of about 1000.
fn zlib() -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..BOMB >> 20 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

/// A Zstandard frame of blocks that repeat one byte.
fn zstd() -> Vec<u8> {
    // A window of 128 KiB, no checksum, no content size.
    let mut bytes = b"\x28\xb5\x2f\xfd\x00\x38".to_vec();
    let block: u32 = 128 << 10;
    let count = BOMB / block as usize;
    for index in 0..count {
        let header = u32::from(index + 1 == count) | 1 << 1 | block << 3;
        bytes.extend(&header.to_le_bytes()[..3]);
        bytes.push(0);
    }
    bytes
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
}

/// A PNG with other chunks before the pixels.
fn png(width: u32, height: u32, chunks: &[u8], idat: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), b"\x08\x02\0\0\0"].concat();
    let parts: [&[u8]; 5] =
        [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header), chunks, &chunk(b"IDAT", idat), &chunk(b"IEND", b"")];
    parts.concat()
}

/// A gray TIFF with one strip.
fn tiff(width: u32, height: u32, compression: u32, strip: &[u8]) -> Vec<u8> {
    let entries = [
        (256, width),
        (257, height),
        (258, 8),
        (259, compression),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, strip.len() as u32),
    ];
    let mut bytes = [b"II\x2a\0", &(8 + strip.len() as u32).to_le_bytes()[..], strip].concat();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, value) in entries {
        // One number of 32 bits.
        bytes.extend((tag as u16).to_le_bytes());
        bytes.extend(b"\x04\0\x01\0\0\0");
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

/// A GIF with a frame of one pixel.
fn gif(width: u16, height: u16) -> Vec<u8> {
    let [width, height] = [width, height].map(u16::to_le_bytes);
    let head = [&b"GIF89a"[..], &width, &height, b"\x80\0\0\0\0\0\xff\xff\xff"].concat();
    [&head[..], b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b"].concat()
}

/// A WebP with the header of a lossless image.
fn webp(width: u32, height: u32) -> Vec<u8> {
    let image = [&[0x2f][..], &((width - 1) | ((height - 1) << 14)).to_le_bytes(), &[0; 5]].concat();
    let chunks = [b"WEBPVP8L", &(image.len() as u32).to_le_bytes()[..], &image].concat();
    [b"RIFF", &(chunks.len() as u32).to_le_bytes()[..], &chunks].concat()
}

#[test]
fn small_files_take_little_memory() {
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    let bomb = zlib();
    let text = |kind, name: &[u8]| chunk(kind, &[name, &bomb].concat());
    let files = [
        ("PNG, pixels", png(1, 1, &[], &bomb)),
        ("PNG, pixels of a large image", png(1 << 19, 2, &[], &bomb)),
        ("PNG, text", png(1, 1, &text(b"zTXt", b"a\0\0"), &bomb)),
        ("PNG, international text", png(1, 1, &text(b"iTXt", b"a\0\x01\0\0\0"), &bomb)),
        ("PNG, color profile", png(1, 1, &text(b"iCCP", b"a\0\0"), &bomb)),
        ("PNG, size", png(1 << 20, 1 << 20, &[], &bomb)),
        ("TIFF, deflate", tiff(1, 1, 8, &bomb)),
        ("TIFF, Zstandard", tiff(1, 1, 50_000, &zstd())),
        ("TIFF, size", tiff(1 << 20, 1 << 20, 8, &bomb)),
        ("GIF, size", gif(u16::MAX, u16::MAX)),
        ("GIF, one row", gif(u16::MAX, 1)),
        ("WebP, size", webp(1 << 14, 1 << 14)),
    ];
    let before = peak();
    for (name, bytes) in files {
        let found = dimensions(&bytes, &limits);
        if let Ok(image) = decode(&bytes, &limits) {
            assert_eq!(found.unwrap(), (image.height(), image.width()), "{name}");
        }
        // Decoded pixels take at most 3 MiB.
        let mib = peak().saturating_sub(before) >> 20;
        assert!(mib < 32, "{name}: {mib} MiB");
    }
}
