//! JPEG files, with the decoder in its strict mode: left alone, it paints what is damaged or missing grey, where the
//! reference refuses a file that ends early.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// A JPEG file whose header has been read.
pub(crate) struct Jpeg<'a> {
    bytes: &'a [u8],
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
}

impl<'a> Jpeg<'a> {
    /// Reads the header; the error is a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        // The limits are checked by the caller; a JPEG file can say 65535 at most.
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::from(u16::MAX))
            .set_max_height(usize::from(u16::MAX))
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|error| error.to_string())?;
        Ok(Self { bytes, decoder })
    }

    /// Width and height in pixels, as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        self.decoder.info().map_or((0, 0), |info| (info.width.into(), info.height.into()))
    }

    /// Decodes to interleaved RGB; the error is a message.
    pub(crate) fn pixels(mut self) -> Result<Vec<u8>, String> {
        if !is_complete(self.bytes) {
            return Err("the file is truncated".into());
        }
        self.decoder.decode().map_err(|error| error.to_string())
    }
}

/// Whether the end-of-image marker follows the last scan (ITU T.81, annex B).
fn is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // A marker: 0xff, perhaps more of them, and a code.
        let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) else {
            return false;
        };
        at += start;
        while bytes.get(at) == Some(&0xff) {
            at += 1;
        }
        let Some(&code) = bytes.get(at) else { return false };
        at += 1;
        match code {
            0xd9 => return true,
            // Stuffed bytes, restarts and stand-alone markers: no length follows.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => match bytes.get(at..at + 2) {
                Some(&[high, low]) => at += usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn only_the_last_marker_ends_a_file() {
        // A start, a segment that holds an end marker as data, a scan with a stuffed byte and a restart, the end.
        let file = [
            0xff, 0xd8, 0xff, 0xe1, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 1, 0xff, 0, 2, 0xff, 0xd0, 3, 0xff, 0xff, 0xd9,
            7,
        ];
        assert!(is_complete(&file));
        assert!((0..file.len() - 1).all(|end| !is_complete(&file[..end])));
    }
}
