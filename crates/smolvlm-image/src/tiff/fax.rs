//! CCITT decompression of bilevel images (ITU T.4 and T.6; TIFF 6.0, sections 10 and 11), with the code tables of the
//! crate `fax`.

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

/// A kind of CCITT compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Run lengths, with byte-aligned rows.
    RunLengths,
    /// Run lengths, rows after end-of-line codes.
    Group3,
    /// As above, but rows may be coded relative to the row above.
    Group3TwoDimensional,
    /// Every row is coded relative to the row above.
    Group4,
}

const DAMAGED: &str = "the compressed pixels are damaged";

/// Decodes rows of bits, where set bits are black; missing pixels at the end are white.
pub(super) fn decode(kind: Kind, data: &[u8], width: usize, rows: usize) -> Result<Vec<u8>, String> {
    let row_bytes = width.div_ceil(8);
    let mut out = vec![0; row_bytes * rows];
    let mut bits = Bits { data, at: 0 };
    // Positions of color changes, the first one to black.
    let (mut above, mut row) = (Vec::new(), Vec::new());
    for pixels in out.chunks_exact_mut(row_bytes) {
        let two_dimensional = match kind {
            Kind::RunLengths => {
                bits.at = bits.at.next_multiple_of(8);
                false
            }
            Kind::Group3 | Kind::Group3TwoDimensional => {
                let ends = bits.skip_line_ends(kind == Kind::Group3TwoDimensional);
                if ends.count > 1 {
                    break;
                }
                ends.two_dimensional
            }
            Kind::Group4 => true,
        };
        row.clear();
        let more = if two_dimensional {
            by_row_above(&mut bits, &above, &mut row, width)?
        } else {
            by_run_lengths(&mut bits, &mut row, width)?;
            true
        };
        if !more {
            break;
        }
        fill_black(&row, width, pixels);
        std::mem::swap(&mut above, &mut row);
    }
    Ok(out)
}

/// Decodes a row of run lengths, alternately white and black.
fn by_run_lengths(bits: &mut Bits<'_>, row: &mut Vec<usize>, width: usize) -> Result<(), String> {
    let mut at = 0;
    let mut is_black = false;
    while at < width {
        at += bits.run(is_black)?;
        row.push(at.min(width));
        is_black = !is_black;
    }
    Ok(())
}

/// Decodes a row coded relative to the row above; `false` at the end of the image.
fn by_row_above(bits: &mut Bits<'_>, above: &[usize], row: &mut Vec<usize>, width: usize) -> Result<bool, String> {
    // An imaginary white pixel precedes the first one.
    let mut at = None;
    let mut is_black = false;
    let mut next = 0;
    while at.unwrap_or(0) < width {
        // The first color change to the opposite color in the row above, right of the current position, and the next
        // change.
        let is_right = |change: usize| at.is_none_or(|at| change > at);
        while next > 0 && above.get(next - 1).is_none_or(|&change| is_right(change)) {
            next -= 1;
        }
        while above.get(next).is_some_and(|&change| !is_right(change)) || (next % 2 == 1) != is_black {
            next += 1;
        }
        let change = |index: usize| above.get(index).copied().unwrap_or(width);
        match mode::decode(bits).ok_or(DAMAGED)? {
            Mode::Pass => at = Some(change(next + 1)),
            Mode::Vertical(delta) => {
                let to = change(next).checked_add_signed(delta.into()).filter(|&to| to >= at.unwrap_or(0));
                let to = to.ok_or(DAMAGED)?.min(width);
                row.push(to);
                at = Some(to);
                is_black = !is_black;
            }
            Mode::Horizontal => {
                let first = at.unwrap_or(0) + bits.run(is_black)?;
                let second = first + bits.run(!is_black)?;
                row.extend([first.min(width), second.min(width)]);
                at = Some(second);
            }
            Mode::EOF => return Ok(false),
            Mode::Extension => return Err("uncompressed parts of fax images are unknown".into()),
        }
    }
    Ok(true)
}

/// Sets the bits of black pixels.
fn fill_black(changes: &[usize], width: usize, pixels: &mut [u8]) {
    for run in changes.chunks(2) {
        let end = run.get(1).copied().unwrap_or(width);
        for x in run[0]..end {
            pixels[x / 8] |= 0x80 >> (x % 8);
        }
    }
}

/// Number of end-of-line codes skipped.
struct LineEnds {
    count: usize,
    /// Whether the row is coded relative to the row above.
    two_dimensional: bool,
}

/// A bit reader, most significant bit first, with zeros after the end.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The length of a run of one color.
    fn run(&mut self, is_black: bool) -> Result<usize, String> {
        let mut sum = 0;
        loop {
            let part = if is_black { black::decode(self) } else { white::decode(self) }.ok_or(DAMAGED)?;
            sum += usize::from(part);
            if part < 64 {
                return Ok(sum);
            }
        }
    }

    /// Skips end-of-line codes: eleven or more zeros, a one, and optionally a bit for the coding of the row.
    fn skip_line_ends(&mut self, tagged: bool) -> LineEnds {
        let mut ends = LineEnds { count: 0, two_dimensional: false };
        while self.peek(11) == Some(0) && self.at < 8 * self.data.len() {
            while self.peek(1) == Some(0) {
                self.at += 1;
            }
            self.at += 1;
            ends.count += 1;
            if tagged {
                ends.two_dimensional = self.peek(1) == Some(0);
                self.at += 1;
            }
        }
        ends
    }
}

impl BitReader for Bits<'_> {
    type Error = ();

    fn peek(&self, bits: u8) -> Option<u16> {
        if bits > 16 || self.at >= 8 * self.data.len() {
            return None;
        }
        let bytes = (0..3)
            .fold(0, |bytes, next| bytes << 8 | u32::from(self.data.get(self.at / 8 + next).copied().unwrap_or(0)));
        Some(((bytes << (8 + self.at % 8)) as u64 >> (32 - bits)) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), ()> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        (8 - self.at % 8) as u8 % 8
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, decode};

    #[test]
    fn run_length_rows_are_byte_aligned() {
        // Rows of 4 white and 4 black pixels: 1011 011, padded; then 8 white ones: 10011.
        let data = [0b1011_0110, 0b1001_1000];
        assert_eq!(decode(Kind::RunLengths, &data, 8, 2).unwrap(), [0x0f, 0]);
    }

    #[test]
    fn two_dimensional_rows_are_decoded() {
        // Horizontal 001, white 4 1011, black 4 011; then twice "as above", 1 1.
        let data = [0b0011_0110, 0b1111_0000];
        assert_eq!(decode(Kind::Group4, &data, 8, 2).unwrap(), [0x0f, 0x0f]);
        // The end of the image, 000000000001, leaves white rows.
        let data = [0b0011_0110, 0b1100_0000, 0b0000_0100];
        assert_eq!(decode(Kind::Group4, &data, 8, 2).unwrap(), [0x0f, 0]);
    }

    #[test]
    fn damaged_data_is_an_error() {
        for kind in [Kind::RunLengths, Kind::Group3, Kind::Group3TwoDimensional, Kind::Group4] {
            assert!(decode(kind, &[], 8, 1).is_err(), "{kind:?}");
            for seed in 0..500u32 {
                let data: Vec<u8> =
                    (0..40).map(|at| (seed.wrapping_mul(2_654_435_761).rotate_left(at) >> 13) as u8).collect();
                let _ = decode(kind, &data, 70, 40);
            }
        }
    }
}
