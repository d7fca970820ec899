//! Times a video on its way to tiles: `cargo run --release --example frames -- FILE`.

use smolvlm_video::{Error, Limits, Preset, VideoInput, VideoProcessor, open};
use std::time::Instant;

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let processor = VideoProcessor::new(Preset::Smol256M.processor().video)?;
    let clock = Instant::now();
    let mut source = open(VideoInput::Path(path.as_ref()), &Limits::default())?;
    let opened = clock.elapsed();
    let indices: Vec<usize> = processor.plan(source.as_ref())?.stamps.iter().map(|stamp| stamp.index).collect();

    let clock = Instant::now();
    source.read(&indices, &mut |_, _| Ok(()))?;
    let decoded = clock.elapsed();
    let clock = Instant::now();
    let video = processor.process(source.as_mut())?;
    let whole = clock.elapsed();

    println!("{:?}", video.plan.metadata);
    println!(
        "{} frames: index {opened:.2?}, decode {decoded:.2?}, resize {:.2?}; tensors {} MB, peak memory {}",
        indices.len(),
        whole.saturating_sub(decoded),
        video.pixels.len() * 4 / 1_000_000,
        peak_memory(),
    );
    Ok(())
}

/// The most memory this process ever held, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
