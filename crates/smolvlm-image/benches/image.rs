//! Decoding, resizing and tiling of a photo of 2048 x 1365 pixels: `cargo bench -p smolvlm-image`.

use divan::Bencher;
use divan::counter::BytesCount;
use smolvlm_image::{ImageProcessor, ImageProcessorConfig, Limits, Resample, Rgb, decode, resize};

fn main() {
    divan::main();
}

const WIDTH: u32 = 2048;
const HEIGHT: u32 = 1365;

/// Smooth gradients with some noise, which compress about as well as photos.
fn pixels() -> Vec<u8> {
    let pixel = |index: u32| {
        let (x, y) = (index % WIDTH, index / WIDTH);
        let noise = (index.wrapping_mul(2_654_435_761) >> 28) as u8;
        [(x / 8) as u8, (y / 6) as u8, ((x + y) / 14) as u8].map(|level| level.saturating_add(noise))
    };
    (0..WIDTH * HEIGHT).flat_map(pixel).collect()
}

fn photo() -> Rgb {
    Rgb::new(WIDTH, HEIGHT, pixels()).expect("as many values as pixels")
}

#[divan::bench]
fn decode_jpeg(bencher: Bencher<'_, '_>) {
    let mut file = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 90);
    image::ImageEncoder::write_image(encoder, &pixels(), WIDTH, HEIGHT, image::ExtendedColorType::Rgb8)
        .expect("a valid image");
    bencher.counter(BytesCount::new(3 * WIDTH * HEIGHT)).bench(|| decode(&file, &Limits::default()));
}

#[divan::bench(args = [512, 1536])]
fn resize_to_width(bencher: Bencher<'_, '_>, width: u32) {
    let photo = photo();
    bencher.bench(|| resize(&photo, width * HEIGHT / WIDTH, width, Resample::Lanczos));
}

#[divan::bench]
fn tiles(bencher: Bencher<'_, '_>) {
    let (photo, processor) = (photo(), ImageProcessor::new(ImageProcessorConfig::default()).expect("valid defaults"));
    bencher.bench(|| processor.process(&photo));
}
