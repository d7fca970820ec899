//! Decodes image files for comparison with other decoders: reads one path per line from stdin and prints for each its
//! height, width and the CRC-32 of its RGB bytes, or `error` and the reason. If a folder is given as argument, also
//! writes the bytes there, as `N.rgb` for the Nth path.

use smolvlm_image::{Limits, decode_file, file_dimensions};
use std::io::BufRead;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1);
    for (index, path) in std::io::stdin().lock().lines().enumerate() {
        let path = path?;
        let path = Path::new(&path);
        match decode_file(path, &Limits::default()) {
            Ok(image) => {
                let mut crc = flate2::Crc::new();
                crc.update(image.data());
                println!("{} {} {}", image.height(), image.width(), crc.sum());
                if file_dimensions(path, &Limits::default())? != (image.height(), image.width()) {
                    return Err(format!("{}: its header gives another size than its pixels", path.display()).into());
                }
                if let Some(folder) = &folder {
                    std::fs::write(Path::new(folder).join(format!("{index}.rgb")), image.data())?;
                }
            }
            Err(error) => println!("error {error}"),
        }
    }
    Ok(())
}
