//! JPEG files: header and pixels. The start marker is added if it is missing, so that mutations reach the decoder.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_image::{Limits, decode, dimensions};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    let mut file = vec![0xff, 0xd8];
    file.extend_from_slice(bytes.strip_prefix(&[0xff, 0xd8]).unwrap_or(bytes));
    if let Ok(pixels) = decode(&file, &limits) {
        let size = dimensions(&file, &limits).expect("what decodes has a header");
        assert_eq!(size, (pixels.height(), pixels.width()));
    }
});
