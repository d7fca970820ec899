//! Image files of every format: decoded pixels have the size in the header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_image::{Limits, decode, dimensions};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    let size = dimensions(bytes, &limits);
    if let Ok(pixels) = decode(bytes, &limits) {
        assert_eq!(size.expect("a decodable image has a valid header"), (pixels.height(), pixels.width()));
    }
});
