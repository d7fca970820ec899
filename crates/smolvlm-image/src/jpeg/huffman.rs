//! Huffman decoding and bit reader.

use super::error::{JpegError, ReadError};
use super::restarts::Restarts;
use super::source::Source;
use super::standard::HuffmanSpec;
use std::convert::Infallible;

/// Number of bits of the lookup table.
const LOOK: u32 = 8;
/// Number of bits after a refill.
const FULL: u32 = 57;

/// A Huffman table prepared for decoding.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Code length (high byte) and symbol for the next 8 bits; length 9 for all longer codes.
    look: [u16; 1 << LOOK],
    /// Largest code of each length, -1 if there is none.
    largest: [i32; 18],
    /// Offset from a code of each length to the index of its symbol.
    offset: [i32; 18],
    symbols: [u8; 256],
}

impl Default for Table {
    fn default() -> Self {
        Self { look: [(LOOK as u16 + 1) << 8; 1 << LOOK], largest: [-1; 18], offset: [0; 18], symbols: [0; 256] }
    }
}

impl Table {
    /// Builds a decoding table. The symbols of a table for DC differences must be at most `max_dc`.
    ///
    /// # Errors
    ///
    /// Codes that do not fit their lengths, or a symbol that is too large.
    pub(crate) fn new(spec: &HuffmanSpec, max_dc: Option<u8>) -> Result<Self, JpegError> {
        const DAMAGED: JpegError = JpegError::Segment("Huffman table");
        let count: usize = spec.counts.iter().map(|&count| usize::from(count)).sum();
        if count > 256 || max_dc.is_some_and(|max| spec.symbols[..count].iter().any(|&symbol| symbol > max)) {
            return Err(DAMAGED);
        }
        let mut table = Self { symbols: spec.symbols, ..Self::default() };
        // Sentinel that ends the search for invalid codes.
        table.largest[17] = i32::MAX;
        let (mut code, mut index) = (0i32, 0usize);
        for (length, &count) in (1u32..).zip(&spec.counts) {
            if count > 0 {
                table.offset[length as usize] = index as i32 - code;
                for symbol in &spec.symbols[index..index + usize::from(count)] {
                    if code >= 1 << length {
                        return Err(DAMAGED);
                    }
                    if length <= LOOK {
                        let first = (code as usize) << (LOOK - length);
                        table.look[first..first + (1 << (LOOK - length))]
                            .fill((length as u16) << 8 | u16::from(*symbol));
                    }
                    code += 1;
                }
                // A code of only ones is invalid.
                if code >= 1 << length {
                    return Err(DAMAGED);
                }
                index += usize::from(count);
                table.largest[length as usize] = code - 1;
            }
            code <<= 1;
        }
        Ok(table)
    }

    /// The symbol of a code; 0 for an invalid one. `code` is the first `length` bits, `next` returns further ones.
    #[inline(always)]
    fn search<E>(&self, mut code: i32, mut length: u32, mut next: impl FnMut() -> Result<u32, E>) -> Result<u8, E> {
        while code > self.largest[length as usize] {
            code = code << 1 | next()? as i32;
            length += 1;
        }
        Ok(if length > 16 { 0 } else { self.symbols[(code + self.offset[length as usize]) as usize & 0xff] })
    }
}

/// Sign-extends a value of `size` bits (figure F.12). `size` is 1 to 15.
#[inline(always)]
pub(crate) fn extend(bits: u32, size: u32) -> i32 {
    let bits = bits as i32;
    if bits < 1 << (size - 1) { bits - (1 << size) + 1 } else { bits }
}

/// Whether no byte is 0xff.
#[inline(always)]
fn has_no_ones(word: u64) -> bool {
    // Subtracting one borrows from the highest bit of the complement if one of its bytes is 0 (and sometimes above
    // one).
    (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0
}

/// Reads Huffman-coded data.
pub(crate) trait ReadBits {
    type Error;

    /// Reads up to 16 bits.
    fn take(&mut self, count: u32) -> Result<u32, Self::Error>;

    /// Decodes a symbol.
    fn symbol(&mut self, table: &Table) -> Result<u8, Self::Error>;

    /// Decodes a DC difference, which has at most 15 bits.
    #[inline(always)]
    fn difference(&mut self, table: &Table) -> Result<i32, Self::Error> {
        let size = u32::from(self.symbol(table)?);
        Ok(if size == 0 { 0 } else { extend(self.take(size)?, size) })
    }
}

/// Bits read ahead.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bits {
    buffer: u64,
    left: u32,
    /// Whether a marker was reached before the data was complete; zeros follow.
    pub(crate) exhausted: bool,
}

impl Bits {
    /// Discards the bits of an interval and consumes the restart marker after it.
    pub(crate) fn restart(&mut self, source: &mut Source<'_>, restarts: &mut Restarts) -> Result<(), ReadError> {
        self.left = 0;
        restarts.pass(source)?;
        // A pending marker means that the next interval has no data left.
        if source.marker == 0 {
            self.exhausted = false;
        }
        Ok(())
    }

    /// Refills up to the capacity or the next marker; then appends zeros if there are fewer than `need` bits.
    #[inline(never)]
    fn fill(&mut self, source: &mut Source<'_>, need: u32) -> Result<(), ReadError> {
        let next = source.window().get(source.at..).and_then(|rest| rest.first_chunk());
        let word = next.map_or(u64::MAX, |next| u64::from_be_bytes(*next));
        // Fast path: enough bytes, none of which is 0xff.
        if source.marker == 0 && self.left < FULL && has_no_ones(word) {
            let count = (64 - self.left) / 8;
            self.buffer = self.buffer.unbounded_shl(8 * count) | word >> (64 - 8 * count);
            self.left += 8 * count;
            source.at += count as usize;
            return Ok(());
        }
        while source.marker == 0 && self.left < FULL {
            let mut byte = source.byte()?;
            if byte == 0xff {
                while byte == 0xff {
                    byte = source.byte()?;
                }
                if byte != 0 {
                    source.marker = byte;
                    break;
                }
                byte = 0xff;
            }
            self.buffer = self.buffer << 8 | u64::from(byte);
            self.left += 8;
        }
        if need > self.left {
            self.exhausted = true;
            self.buffer <<= FULL - self.left;
            self.left = FULL;
        }
        Ok(())
    }

    #[inline(always)]
    fn peek(&self, count: u32) -> u32 {
        (self.buffer >> (self.left - count)) as u32 & ((1 << count) - 1)
    }

    /// A reader that continues with the data of `source`.
    #[inline(always)]
    pub(crate) fn reader<'r, 'a>(&'r mut self, source: &'r mut Source<'a>) -> CheckedBits<'r, 'a> {
        CheckedBits { bits: self, source }
    }
}

/// Reads bits with checks for the end of data and markers, after which bits are zeros.
#[derive(Debug)]
pub(crate) struct CheckedBits<'r, 'a> {
    bits: &'r mut Bits,
    source: &'r mut Source<'a>,
}

impl ReadBits for CheckedBits<'_, '_> {
    type Error = ReadError;

    #[inline(always)]
    fn take(&mut self, count: u32) -> Result<u32, ReadError> {
        if self.bits.left < count {
            self.bits.fill(self.source, count)?;
        }
        let taken = self.bits.peek(count);
        self.bits.left -= count;
        Ok(taken)
    }

    #[inline(always)]
    fn symbol(&mut self, table: &Table) -> Result<u8, ReadError> {
        if self.bits.left < LOOK {
            self.bits.fill(self.source, 0)?;
        }
        let mut length = 1;
        if self.bits.left >= LOOK {
            let look = table.look[self.bits.peek(LOOK) as usize];
            length = u32::from(look >> 8);
            if length <= LOOK {
                self.bits.left -= length;
                return Ok(look as u8);
            }
        }
        let code = self.take(length)? as i32;
        table.search(code, length, || self.take(1))
    }
}

/// Reads bits without checking for the end of data. The data must be long enough; markers are read as zeros.
#[derive(Debug)]
pub(crate) struct FastBits<'a> {
    data: &'a [u8],
    pub(crate) at: usize,
    buffer: u64,
    left: u32,
    /// Whether a marker was reached; what was decoded since then must be discarded.
    pub(crate) hit_marker: bool,
}

impl<'a> FastBits<'a> {
    pub(crate) fn new(bits: Bits, source: &Source<'a>) -> Self {
        Self { data: source.window(), at: source.at, buffer: bits.buffer, left: bits.left, hit_marker: false }
    }

    /// The state for further reading.
    pub(crate) fn bits(&self) -> Bits {
        Bits { buffer: self.buffer, left: self.left, exhausted: false }
    }

    /// Ensures that at least 17 bits are available.
    #[inline(always)]
    fn fill(&mut self) {
        if self.left > 16 {
            return;
        }
        if let Some(next) = self.data.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_be_bytes(*next);
            if has_no_ones(word) {
                self.buffer = self.buffer << 48 | word >> 16;
                self.at += 6;
                self.left += 48;
                return;
            }
        }
        self.fill_bytes();
    }

    #[inline(never)]
    fn fill_bytes(&mut self) {
        for _ in 0..6 {
            let byte = self.data.get(self.at).copied().unwrap_or(0xff);
            let mut value = byte;
            self.at += 1;
            if byte == 0xff {
                if self.data.get(self.at) == Some(&0) {
                    self.at += 1;
                } else {
                    self.hit_marker = true;
                    self.at -= 1;
                    value = 0;
                }
            }
            self.buffer = self.buffer << 8 | u64::from(value);
            self.left += 8;
        }
    }

    #[inline(never)]
    fn long_symbol(&mut self, table: &Table) -> Result<u8, Infallible> {
        let code = (self.buffer >> self.left) as i32 & ((1 << (LOOK + 1)) - 1);
        table.search(code, LOOK + 1, || {
            self.left -= 1;
            Ok((self.buffer >> self.left) as u32 & 1)
        })
    }
}

impl ReadBits for FastBits<'_> {
    type Error = Infallible;

    #[inline(always)]
    fn take(&mut self, count: u32) -> Result<u32, Infallible> {
        self.fill();
        self.left -= count;
        Ok((self.buffer >> self.left) as u32 & ((1 << count) - 1))
    }

    #[inline(always)]
    fn symbol(&mut self, table: &Table) -> Result<u8, Infallible> {
        self.fill();
        let look = table.look[(self.buffer >> (self.left - LOOK)) as usize & ((1 << LOOK) - 1)];
        let length = u32::from(look >> 8);
        self.left -= length;
        if length <= LOOK { Ok(look as u8) } else { self.long_symbol(table) }
    }
}
