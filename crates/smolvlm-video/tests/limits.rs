//! Limits of images that are opened as videos.

mod support;

use smolvlm_video::{Limits, VideoInput, open};
use support::clip;

#[test]
fn messages_name_the_option_that_raises_the_limit() {
    let image = smolvlm_image::Limits { max_pixels: 100, ..Default::default() };
    let limits = Limits { image, ..Limits::default() };
    for name in ["../../golden/media/square.png", "../harbour.jpg", "moving.gif", "moving.webp", "moving.apng"] {
        let error = open(VideoInput::Path(&clip(name)), &limits).err().unwrap().to_string();
        assert!(error.contains("--max-image-pixels"), "{name}: {error}");
    }
}
