//! CCITT compression of bilevel images (ITU T.4 and T.6; TIFF 6.0, sections 10 and 11), with the code tables of the crate
//! `fax`.

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

/// A kind of CCITT compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Run lengths, rows at whole bytes.
    RunLengths,
    /// Run lengths, rows after end-of-line codes.
    Group3,
    /// The same, where rows may refer to the row above.
    Group3TwoDimensional,
    /// Every row refers to the row above.
    Group4,
}

const DAMAGED: &str = "the compressed pixels are damaged";

/// Decodes rows of bits, black ones; what is missing at the end is white.
pub(super) fn decode(kind: Kind, data: &[u8], width: usize, rows: usize) -> Result<Vec<u8>, String> {
    let row_bytes = width.div_ceil(8);
    let mut out = vec![0; row_bytes * rows];
    let mut bits = Bits { data, at: 0 };
    // Positions where colors change, the first to black.
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
        paint(&row, width, pixels);
        std::mem::swap(&mut above, &mut row);
    }
    Ok(out)
}

/// Reads a row of run lengths, white and black in turn.
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

/// Reads a row that refers to the row above; `false` at the end of the image.
fn by_row_above(bits: &mut Bits<'_>, above: &[usize], row: &mut Vec<usize>, width: usize) -> Result<bool, String> {
    // Before the first pixel there is an imaginary white one.
    let mut at = None;
    let mut is_black = false;
    let mut next = 0;
    while at.unwrap_or(0) < width {
        // The first change above, right of here, to the other color; and the one after it.
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
fn paint(changes: &[usize], width: usize, pixels: &mut [u8]) {
    for run in changes.chunks(2) {
        let end = run.get(1).copied().unwrap_or(width);
        for x in run[0]..end {
            pixels[x / 8] |= 0x80 >> (x % 8);
        }
    }
}

/// End-of-line codes that were skipped.
struct LineEnds {
    count: usize,
    /// Whether the row refers to the row above.
    two_dimensional: bool,
}

/// Bits, the most significant first, with zeros after the end.
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

    /// Skips end-of-line codes: eleven or more zeros, a one, and perhaps a bit that says how the row is compressed.
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
    fn run_lengths_begin_at_whole_bytes() {
        // Rows of 4 white and 4 black pixels: 1011 011, padded; then 8 white ones: 10011.
        let data = [0b1011_0110, 0b1001_1000];
        assert_eq!(decode(Kind::RunLengths, &data, 8, 2).unwrap(), [0x0f, 0]);
    }

    #[test]
    fn rows_refer_to_the_row_above() {
        // Horizontal 001, white 4 1011, black 4 011; then twice "as above", 1 1.
        let data = [0b0011_0110, 0b1111_0000];
        assert_eq!(decode(Kind::Group4, &data, 8, 2).unwrap(), [0x0f, 0x0f]);
        // The end of the image, 000000000001, leaves white rows.
        let data = [0b0011_0110, 0b1100_0000, 0b0000_0100];
        assert_eq!(decode(Kind::Group4, &data, 8, 2).unwrap(), [0x0f, 0]);
    }

    #[test]
    fn damage_ends_in_an_error() {
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
