//! Uncompressed PNG files.

/// A PNG with 3 channels (RGB) or 4 (RGBA).
pub(in crate::tests) fn png(width: u32, height: u32, channels: u32) -> Vec<u8> {
    let stored = |data: &[u8]| {
        // One stored deflate block per 65535 bytes.
        let mut zlib = vec![0x78, 0x01];
        let mut blocks = data.chunks(0xffff).peekable();
        while let Some(block) = blocks.next() {
            zlib.push(u8::from(blocks.peek().is_none()));
            zlib.extend((block.len() as u16).to_le_bytes());
            zlib.extend((!(block.len() as u16)).to_le_bytes());
            zlib.extend(block);
        }
        let (mut a, mut b) = (1_u32, 0_u32);
        for &byte in data {
            a = (a + u32::from(byte)) % 65521;
            b = (b + a) % 65521;
        }
        zlib.extend((b << 16 | a).to_be_bytes());
        zlib
    };
    let pixels: Vec<u8> =
        (0..height).flat_map(|_| std::iter::once(0).chain((0..width * channels).map(|value| value as u8))).collect();
    let color = if channels == 4 { 6 } else { 2 };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, color, 0, 0, 0]].concat();
    let chunks = [(&b"IHDR"[..], header), (b"IDAT", stored(&pixels)), (b"IEND", Vec::new())];
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        png.extend((data.len() as u32).to_be_bytes());
        let start = png.len();
        png.extend(kind);
        png.extend(data);
        png.extend(crc32(&png[start..]).to_be_bytes());
    }
    png
}

/// The checksum of PNG chunks.
pub(in crate::tests) fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
