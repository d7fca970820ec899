//! Splits an image into tiles and writes them as PPM files: `split FILE [FOLDER]`.

use smolvlm_image::{ImageInput, ImageProcessor, Preset};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: split FILE [FOLDER]")?;
    let folder = PathBuf::from(args.next().unwrap_or_else(|| "tiles".to_owned()));

    let processor = ImageProcessor::new(Preset::Smol256M.processor().image)?;
    let image = processor.load(ImageInput::Path(path.as_ref()))?;
    let tiles = processor.process(&image)?;

    std::fs::create_dir_all(&folder)?;
    let plane = tiles.edge * tiles.edge;
    for (index, tile) in tiles.pixels.chunks_exact(3 * plane).enumerate() {
        let mut ppm = format!("P6\n{0} {0}\n255\n", tiles.edge).into_bytes();
        for pixel in 0..plane {
            ppm.extend((0..3).map(|channel| level(&processor, channel, tile[channel * plane + pixel])));
        }
        std::fs::write(folder.join(format!("{index:02}.ppm")), ppm)?;
    }
    println!(
        "{} x {} pixels: {} rows and {} columns of tiles and the whole image, in {}",
        image.width(),
        image.height(),
        tiles.grid.rows,
        tiles.grid.cols,
        folder.display()
    );
    Ok(())
}

/// The 8-bit level of a normalized pixel value.
fn level(processor: &ImageProcessor, channel: usize, value: f32) -> u8 {
    let config = processor.config();
    let rescaled = f64::from(value) * config.pixels.image_std[channel] + config.pixels.image_mean[channel];
    (rescaled / config.pixels.rescale_factor).round() as u8
}
