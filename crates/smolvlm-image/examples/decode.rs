//! Decodes image files for comparisons with other decoders: reads paths from stdin, one a line, and prints for each its
//! height, width and the CRC-32 of its RGB bytes, or `error` and why. Of an animated WebP file there follow, for each
//! frame, its start and duration in milliseconds and the CRC-32 of its RGB bytes. With a folder as argument, the bytes
//! are also written there, as `N.rgb` for the Nth path and `N.K.rgb` for its frame K.

use smolvlm_image::{Limits, Rgb, WebpAnimation, decode_file, file_dimensions};
use std::io::BufRead;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1);
    // Pillow has no limit for one side.
    let limits = Limits { max_width: u32::MAX, max_height: u32::MAX, ..Limits::default() };
    for (index, path) in std::io::stdin().lock().lines().enumerate() {
        let path = path?;
        let path = Path::new(&path);
        let write = |name: String, image: &Rgb| match &folder {
            Some(folder) => std::fs::write(Path::new(folder).join(name), image.data()),
            None => Ok(()),
        };
        match decode_file(path, &limits) {
            Ok(image) => {
                print!("{} {} {}", image.height(), image.width(), checksum(&image));
                if file_dimensions(path, &limits)? != (image.height(), image.width()) {
                    return Err(format!("{}: its header gives another size than its pixels", path.display()).into());
                }
                write(format!("{index}.rgb"), &image)?;
                if let Some(mut animation) = WebpAnimation::open(&std::fs::read(path)?, &limits)? {
                    // Frames up to one that is damaged.
                    let mut at = 0;
                    while let Ok(Some(frame)) = animation.next_frame() {
                        let image = frame.rgb();
                        print!(" {} {} {}", frame.start(), frame.duration(), checksum(&image));
                        write(format!("{index}.{at}.rgb"), &image)?;
                        at += 1;
                    }
                }
                println!();
            }
            Err(error) => println!("error {error}"),
        }
    }
    Ok(())
}

fn checksum(image: &Rgb) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(image.data());
    crc.sum()
}
