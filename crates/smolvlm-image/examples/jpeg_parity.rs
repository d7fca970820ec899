//! Compares decoded JPEG files with the checksums of Pillow's pixels: `jpeg_parity PACK [FOLDER]`. `cargo xtask jpeg`
//! creates the pack and runs this program; files that differ are written to the folder.

use smolvlm_image::{Limits, decode};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(pack), folder) = (args.next(), args.next()) else {
        eprintln!("usage: jpeg_parity PACK [FOLDER]");
        return ExitCode::FAILURE;
    };
    let bytes = match std::fs::read(&pack) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("{pack}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut rest, mut files, mut pixels, mut wrongly_read, mut wrongly_refused) = (&bytes[..], 0, 0, 0, 0);
    while let Some((file, [is_read, width, height, sum])) = take(&mut rest) {
        files += 1;
        let verdict = match (decode(file, &Limits::default()), is_read == 1) {
            (Ok(image), true) => {
                let same = (image.width(), image.height(), crc32(image.data())) == (width, height, sum);
                pixels += u32::from(!same);
                (!same).then(|| "other pixels".to_owned())
            }
            (Ok(_), false) => {
                wrongly_read += 1;
                Some("read".to_owned())
            }
            (Err(error), true) => {
                wrongly_refused += 1;
                Some(error.to_string())
            }
            (Err(_), false) => None,
        };
        if let Some(verdict) = verdict {
            println!("file {}: {verdict}", files - 1);
            if let Some(folder) = &folder {
                let path = Path::new(folder).join(format!("{}.jpg", files - 1));
                if let Err(error) = std::fs::write(&path, file) {
                    eprintln!("{}: {error}", path.display());
                }
            }
        }
    }
    println!("{files} files: {pixels} differ, {wrongly_refused} are refused and {wrongly_read} read unlike by Pillow");
    if files > 0 && pixels + wrongly_refused + wrongly_read == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The next file of a pack and Pillow's result for it.
fn take<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], [u32; 4])> {
    let number = |bytes: &[u8]| bytes.first_chunk().map(|four| u32::from_le_bytes(*four));
    let (file, after) = rest.get(4..)?.split_at_checked(number(rest)? as usize)?;
    let (facts, after) = after.split_at_checked(16)?;
    *rest = after;
    Some((file, [number(facts)?, number(&facts[4..])?, number(&facts[8..])?, number(&facts[12..])?]))
}

/// CRC-32 of a byte slice.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
