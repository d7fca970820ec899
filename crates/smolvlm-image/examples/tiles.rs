//! Measures decoding and tiling time of an image file with the released settings: `tiles FILE [RUNS]`.

use smolvlm_image::{ImageInput, ImageProcessor, Preset};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which file?")?;
    let runs: usize = args.next().map_or(Ok(10), |runs| runs.parse())?;
    let processor = ImageProcessor::new(Preset::Smol256M.processor().image)?;
    let bytes = std::fs::read(path)?;
    let (mut decode, mut tile) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) + 2 {
        let start = Instant::now();
        let image = processor.load(ImageInput::Bytes(&bytes))?;
        let middle = Instant::now();
        std::hint::black_box(processor.process(&image)?);
        decode.push(1e3 * (middle - start).as_secs_f64());
        tile.push(1e3 * middle.elapsed().as_secs_f64());
    }
    // The first two runs are warm-up.
    let median = |times: &mut Vec<f64>| {
        let times = &mut times[2..];
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (decode, tile) = (median(&mut decode), median(&mut tile));
    println!("decode {decode:.1} ms, tiles {tile:.1} ms, total {:.1} ms", decode + tile);
    Ok(())
}
