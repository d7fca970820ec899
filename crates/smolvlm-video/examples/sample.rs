//! Prints the timestamps of the frames that are sampled from a video, and writes these frames as PPM files if a folder
//! is given: `sample FILE [FOLDER]`.

use smolvlm_video::{Limits, Preset, Rgb, VideoInput, VideoProcessor, open};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: sample FILE [FOLDER]")?;
    let folder = args.next().map(PathBuf::from);

    let processor = VideoProcessor::new(Preset::Smol256M.processor().video)?;
    let mut source = open(VideoInput::Path(path.as_ref()), &Limits::default())?;
    // Known before any frame is decoded.
    let plan = processor.plan(source.as_ref())?;
    let video = &plan.metadata;
    println!("{} x {} pixels, {} frames, {} sampled", video.width, video.height, video.frames, plan.stamps.len());
    for stamp in &plan.stamps {
        println!("frame {} at {} s", stamp.index, stamp.seconds(video.fps));
    }

    if let Some(folder) = folder {
        std::fs::create_dir_all(&folder)?;
        let indices: Vec<usize> = plan.stamps.iter().map(|stamp| stamp.index).collect();
        let mut written = Ok(());
        source.read(&indices, &mut |index, frame| {
            if written.is_ok() {
                written = write(&folder.join(format!("{index:06}.ppm")), frame);
            }
            Ok(())
        })?;
        written?;
    }
    Ok(())
}

fn write(path: &Path, frame: &Rgb) -> std::io::Result<()> {
    let mut ppm = format!("P6\n{} {}\n255\n", frame.width(), frame.height()).into_bytes();
    ppm.extend_from_slice(frame.data());
    std::fs::write(path, ppm)
}
