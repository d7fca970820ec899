//! LZW decompression for GIF (GIF89a, appendix F) and TIFF (TIFF 6.0, section 13).

use std::io::{self, Error, ErrorKind, Read};

/// Maximum number of table entries: codes have at most 12 bits.
const ENTRIES: usize = 1 << 12;

/// A code format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codes {
    /// Least significant bit first; the initial code size is one bit more than this.
    Gif(u8),
    /// Most significant bit first; codes of 9 to 12 bits, whose size grows one entry early.
    Tiff,
}

/// Decompressed data of a source.
pub(crate) struct Lzw<I> {
    source: I,
    codes: Codes,
    /// Bit buffer and the number of bits in it.
    bits: u32,
    left: u32,
    /// The clear code; the next one is the end code.
    clear: u16,
    /// Current code size in bits.
    width: u32,
    /// For each code from `clear + 2` on, its prefix code and last byte.
    table: Vec<(u16, u8)>,
    /// The previous code and its first byte.
    last: Option<(u16, u8)>,
    /// Decompressed bytes in reverse order.
    pending: Vec<u8>,
    ended: bool,
}

impl<I: Iterator<Item = u8>> Lzw<I> {
    pub(crate) fn new(source: I, codes: Codes) -> Self {
        let bits = match codes {
            Codes::Gif(bits) => bits.min(11).into(),
            Codes::Tiff => 8,
        };
        let table = Vec::with_capacity(ENTRIES);
        let (pending, last) = (Vec::new(), None);
        Self { source, codes, bits: 0, left: 0, clear: 1 << bits, width: bits + 1, table, last, pending, ended: false }
    }

    /// Reads a code; `None` at the end of the source.
    fn code(&mut self) -> Option<u16> {
        while self.left < self.width {
            let byte = u32::from(self.source.next()?);
            self.bits = if self.codes == Codes::Tiff { self.bits << 8 | byte } else { self.bits | byte << self.left };
            self.left += 8;
        }
        self.left -= self.width;
        let mask = (1 << self.width) - 1;
        let code = if self.codes == Codes::Tiff { self.bits >> self.left } else { self.bits } & mask;
        self.bits =
            if self.codes == Codes::Tiff { self.bits & ((1 << self.left) - 1) } else { self.bits >> self.width };
        Some(code as u16)
    }

    /// Decompresses the next code.
    fn step(&mut self) -> io::Result<()> {
        let Some(code) = self.code() else {
            self.ended = true;
            return Ok(());
        };
        let next = self.clear + 2 + self.table.len() as u16;
        if code == self.clear {
            self.table.clear();
            self.width = self.clear.ilog2() + 1;
            self.last = None;
        } else if code == self.clear + 1 {
            self.ended = true;
        } else if let Some((last, first)) = self.last {
            let mut at = code;
            if code == next {
                self.pending.push(first);
                at = last;
            }
            while at >= self.clear {
                let entry = usize::from(at - self.clear).checked_sub(2).and_then(|index| self.table.get(index));
                let &(rest, byte) = entry.ok_or_else(|| Error::new(ErrorKind::InvalidData, "an unknown LZW code"))?;
                self.pending.push(byte);
                at = rest;
            }
            self.pending.push(at as u8);
            if usize::from(next) < ENTRIES {
                self.table.push((last, at as u8));
                let early = u16::from(self.codes == Codes::Tiff);
                if next + 1 + early == 1 << self.width && self.width < 12 {
                    self.width += 1;
                }
            }
            self.last = Some((code, at as u8));
        } else if code < self.clear {
            self.pending.push(code as u8);
            self.last = Some((code, code as u8));
        } else {
            return Err(Error::new(ErrorKind::InvalidData, "an unknown LZW code"));
        }
        Ok(())
    }
}

impl<I: Iterator<Item = u8>> Read for Lzw<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.pending.is_empty() && !self.ended {
            self.step()?;
        }
        let count = out.len().min(self.pending.len());
        let rest = self.pending.len() - count;
        for (target, byte) in out.iter_mut().zip(self.pending.drain(rest..).rev()) {
            *target = byte;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{Codes, Lzw};
    use std::io::Read;

    fn decompress(data: &[u8], codes: Codes) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Lzw::new(data.iter().copied(), codes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn specification_examples_are_decoded() {
        // TIFF 6.0, page 60: 7 7 7 8 8 7 7 6 6 is 256, 7, 258, 8, 8, 258, 6, 6, 257 in codes of 9 bits.
        let codes = [256u32, 7, 258, 8, 8, 258, 6, 6, 257];
        let bits: String = codes.iter().map(|code| format!("{code:09b}")).collect();
        let bytes = |bits: &str| {
            (0..bits.len())
                .step_by(8)
                .map(|at| format!("{:0<8}", &bits[at..bits.len().min(at + 8)]))
                .collect::<Vec<_>>()
        };
        let data: Vec<u8> = bytes(&bits).iter().map(|byte| u8::from_str_radix(byte, 2).unwrap()).collect();
        assert_eq!(decompress(&data, Codes::Tiff).unwrap(), [7, 7, 7, 8, 8, 7, 7, 6, 6]);
        // A GIF of four equal pixels of 2 bits: clear 4, 1, 6 (which is not in the table yet), 1, end 5; codes of 3,
        // then 4 bits.
        assert_eq!(decompress(&[0b1000_1100, 0b0101_0011], Codes::Gif(2)).unwrap(), [1, 1, 1, 1]);
    }

    #[test]
    fn unknown_codes_are_errors() {
        assert!(decompress(&[0xff, 0xff, 0xff], Codes::Tiff).is_err());
        // Clear, 1, and 7, while 6 is the next free code.
        assert!(decompress(&[0b1100_1100, 0b1], Codes::Gif(2)).is_err());
    }
}
