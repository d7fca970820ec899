//! Limits of images that are opened as videos.

mod support;

use smolvlm_video::{Cancel, Error, Limits, VideoInput, open};
use support::{clip, openers};

#[test]
fn messages_name_the_option_that_raises_the_limit() {
    let image = smolvlm_image::Limits { max_pixels: 100, ..Default::default() };
    let limits = Limits { image, ..Limits::default() };
    for name in ["../../golden/media/square.png", "../harbour.jpg", "moving.gif", "moving.webp", "moving.apng"] {
        let error = open(VideoInput::Path(&clip(name)), &limits).err().unwrap().to_string();
        assert!(error.contains("--max-image-pixels"), "{name}: {error}");
    }
}

#[test]
fn cancelled_work_ends() {
    for open in openers() {
        for name in ["plain.mp4", "moving.gif"] {
            let cancel = Cancel::new();
            let limits = Limits { cancel: Some(cancel.clone()), ..Limits::default() };
            let mut video = open(VideoInput::Path(&clip(name)), &limits).unwrap();
            let mut frames = 0;
            let read = video.read(&[0, 1, 2, 3], &mut |_, _| {
                frames += 1;
                cancel.cancel();
                Ok(())
            });
            assert!(matches!(read, Err(Error::Cancelled)), "{name}: {read:?}");
            assert!(frames < 4, "{name}: {frames}");
            assert!(matches!(open(VideoInput::Path(&clip(name)), &limits), Err(Error::Cancelled)), "{name}");
        }
    }
}
