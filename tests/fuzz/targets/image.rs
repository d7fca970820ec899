//! Image files of every format: the size that the header promises is the size of the pixels.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smolvlm_image::{Limits, decode, dimensions};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    let size = dimensions(bytes, &limits);
    if let Ok(pixels) = decode(bytes, &limits) {
        assert_eq!(size.expect("what decodes has a header"), (pixels.height(), pixels.width()));
    }
});
