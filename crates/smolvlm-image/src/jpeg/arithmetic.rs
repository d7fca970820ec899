//! Arithmetic-coded scans (ITU-T T.81, annex D, F.2.4 and G.2).

use super::entropy::{Block, Mcu, Part};
use super::error::{JpegError, ReadError};
use super::frame::ScanHeader;
use super::restarts::Restarts;
use super::segments::Tables;
use super::source::Source;
use super::standard::NATURAL;

/// Index of the state with fixed equal probabilities.
const EVEN: u8 = 113;

/// States of the probability estimation (table D.3): the interval size of the less probable symbol (LPS), the next
/// states after the LPS and the more probable symbol (MPS), and whether LPS and MPS are exchanged. The last entry is
/// the fixed state of F.1.4.3.
#[rustfmt::skip]
const STATES: [(u16, u8, u8, bool); 114] = [
    (0x5a1d, 1, 1, true), (0x2586, 14, 2, false), (0x1114, 16, 3, false), (0x080b, 18, 4, false),
    (0x03d8, 20, 5, false), (0x01da, 23, 6, false), (0x00e5, 25, 7, false), (0x006f, 28, 8, false),
    (0x0036, 30, 9, false), (0x001a, 33, 10, false), (0x000d, 35, 11, false), (0x0006, 9, 12, false),
    (0x0003, 10, 13, false), (0x0001, 12, 13, false), (0x5a7f, 15, 15, true), (0x3f25, 36, 16, false),
    (0x2cf2, 38, 17, false), (0x207c, 39, 18, false), (0x17b9, 40, 19, false), (0x1182, 42, 20, false),
    (0x0cef, 43, 21, false), (0x09a1, 45, 22, false), (0x072f, 46, 23, false), (0x055c, 48, 24, false),
    (0x0406, 49, 25, false), (0x0303, 51, 26, false), (0x0240, 52, 27, false), (0x01b1, 54, 28, false),
    (0x0144, 56, 29, false), (0x00f5, 57, 30, false), (0x00b7, 59, 31, false), (0x008a, 60, 32, false),
    (0x0068, 62, 33, false), (0x004e, 63, 34, false), (0x003b, 32, 35, false), (0x002c, 33, 9, false),
    (0x5ae1, 37, 37, true), (0x484c, 64, 38, false), (0x3a0d, 65, 39, false), (0x2ef1, 67, 40, false),
    (0x261f, 68, 41, false), (0x1f33, 69, 42, false), (0x19a8, 70, 43, false), (0x1518, 72, 44, false),
    (0x1177, 73, 45, false), (0x0e74, 74, 46, false), (0x0bfb, 75, 47, false), (0x09f8, 77, 48, false),
    (0x0861, 78, 49, false), (0x0706, 79, 50, false), (0x05cd, 48, 51, false), (0x04de, 50, 52, false),
    (0x040f, 50, 53, false), (0x0363, 51, 54, false), (0x02d4, 52, 55, false), (0x025c, 53, 56, false),
    (0x01f8, 54, 57, false), (0x01a4, 55, 58, false), (0x0160, 56, 59, false), (0x0125, 57, 60, false),
    (0x00f6, 58, 61, false), (0x00cb, 59, 62, false), (0x00ab, 61, 63, false), (0x008f, 61, 32, false),
    (0x5b12, 65, 65, true), (0x4d04, 80, 66, false), (0x412c, 81, 67, false), (0x37d8, 82, 68, false),
    (0x2fe8, 83, 69, false), (0x293c, 84, 70, false), (0x2379, 86, 71, false), (0x1edf, 87, 72, false),
    (0x1aa9, 87, 73, false), (0x174e, 72, 74, false), (0x1424, 72, 75, false), (0x119c, 74, 76, false),
    (0x0f6b, 74, 77, false), (0x0d51, 75, 78, false), (0x0bb6, 77, 79, false), (0x0a40, 77, 48, false),
    (0x5832, 80, 81, true), (0x4d1c, 88, 82, false), (0x438e, 89, 83, false), (0x3bdd, 90, 84, false),
    (0x34ee, 91, 85, false), (0x2eae, 92, 86, false), (0x299a, 93, 87, false), (0x2516, 86, 71, false),
    (0x5570, 88, 89, true), (0x4ca9, 95, 90, false), (0x44d9, 96, 91, false), (0x3e22, 97, 92, false),
    (0x3824, 99, 93, false), (0x32b4, 99, 94, false), (0x2e17, 93, 86, false), (0x56a8, 95, 96, true),
    (0x4f46, 101, 97, false), (0x47e5, 102, 98, false), (0x41cf, 103, 99, false), (0x3c3d, 104, 100, false),
    (0x375e, 99, 93, false), (0x5231, 105, 102, false), (0x4c0f, 106, 103, false), (0x4639, 107, 104, false),
    (0x415e, 103, 99, false), (0x5627, 105, 106, true), (0x50e7, 108, 107, false), (0x4b85, 109, 103, false),
    (0x5597, 110, 109, false), (0x504f, 111, 107, false), (0x5a10, 110, 111, true), (0x5522, 112, 109, false),
    (0x59eb, 112, 111, true), (0x5a1d, 113, 113, false),
];

/// The arithmetic decoder.
#[derive(Debug, Default)]
struct Coder {
    /// Base of the interval with the bits read ahead below it.
    code: i64,
    /// Size of the interval.
    size: i64,
    /// Number of bits read ahead; negative while the first bytes are missing.
    ahead: i32,
}

impl Coder {
    fn new() -> Self {
        Self { code: 0, size: 0, ahead: -16 }
    }

    /// Decodes a decision with the statistics in `bin`: the state, and the more probable symbol in the highest bit.
    fn decide(&mut self, source: &mut Source<'_>, bin: &mut u8) -> Result<bool, ReadError> {
        while self.size < 0x8000 {
            self.ahead -= 1;
            if self.ahead < 0 {
                self.code = self.code << 8 | i64::from(next_byte(source)?);
                self.ahead += 8;
                if self.ahead < 0 {
                    self.ahead += 1;
                    if self.ahead == 0 {
                        self.size = 0x8000;
                    }
                }
            }
            self.size <<= 1;
        }
        let (less, after_less, after_more, exchange) = STATES[usize::from(*bin & 0x7f)];
        let less = i64::from(less);
        let more_probable = *bin & 0x80;
        let mut symbol = more_probable;
        self.size -= less;
        let top = self.size << self.ahead;
        let is_less = if self.code >= top {
            self.code -= top;
            // The smaller interval belongs to the less probable symbol (conditional exchange).
            let is_less = self.size >= less;
            self.size = less;
            is_less
        } else if self.size < 0x8000 {
            self.size < less
        } else {
            return Ok(symbol != 0);
        };
        *bin = if is_less {
            symbol ^= 0x80;
            more_probable ^ after_less ^ if exchange { 0x80 } else { 0 }
        } else {
            more_probable ^ after_more
        };
        Ok(symbol != 0)
    }
}

/// The next byte of the scan; 0 after its end.
fn next_byte(source: &mut Source<'_>) -> Result<u8, ReadError> {
    if source.marker != 0 {
        return Ok(0);
    }
    let mut byte = source.byte()?;
    if byte != 0xff {
        return Ok(byte);
    }
    while byte == 0xff {
        byte = source.byte()?;
    }
    if byte == 0 {
        return Ok(0xff);
    }
    source.marker = byte;
    Ok(0)
}

/// The decoder of an arithmetic-coded scan.
#[derive(Debug)]
pub(crate) struct ArithmeticScan {
    part: Part,
    coder: Coder,
    /// Statistics areas by table number.
    dc_bins: Vec<[u8; 64]>,
    ac_bins: Vec<[u8; 256]>,
    /// Conditioning bounds of small DC differences and of low AC coefficients, by table number.
    dc_bounds: [(u8, u8); 16],
    ac_bounds: [u8; 16],
    /// Table numbers of each component of the scan.
    numbers: Vec<(usize, usize)>,
    first: usize,
    last: usize,
    shift: u8,
    last_dc: [i32; 4],
    /// Classification of the last DC difference of each component.
    context: [usize; 4],
    /// Whether the data of this interval is invalid; its blocks are then left unchanged.
    damaged: bool,
    restarts: Restarts,
}

impl ArithmeticScan {
    pub(crate) fn new(tables: &Tables, scan: &ScanHeader, part: Part) -> Self {
        Self {
            part,
            coder: Coder::new(),
            dc_bins: vec![[0; 64]; 16],
            ac_bins: vec![[0; 256]; 16],
            dc_bounds: tables.conditioning.dc,
            ac_bounds: tables.conditioning.ac,
            numbers: scan.table_numbers(),
            first: if part == Part::All { 1 } else { scan.ss.into() },
            last: if part == Part::All { 63 } else { scan.se.into() },
            shift: if part == Part::All { 0 } else { scan.al },
            last_dc: [0; 4],
            context: [0; 4],
            damaged: false,
            restarts: Restarts::new(tables.restart_interval),
        }
    }

    /// See `Entropy::decode`. The reference cannot suspend here.
    pub(crate) fn decode(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> Result<(), ReadError> {
        source.fixed = true;
        let result = self.decode_fixed(source, mcu);
        source.fixed = false;
        if result == Err(ReadError::Suspended) {
            source.grow()?;
            return Err(JpegError::LongArithmetic.into());
        }
        result
    }

    fn decode_fixed(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> Result<(), ReadError> {
        if self.restarts.due() {
            self.restarts.pass(source)?;
            self.dc_bins.fill([0; 64]);
            self.ac_bins.fill([0; 256]);
            (self.last_dc, self.context) = ([0; 4], [0; 4]);
            self.coder = Coder::new();
            self.damaged = false;
        }
        self.restarts.count();
        if self.damaged {
            return Ok(());
        }
        match self.part {
            Part::All | Part::DcFirst => {
                for (&slot, &index) in mcu.slots.iter().zip(&mcu.indices) {
                    let block = &mut mcu.blocks[index];
                    let sound = self.dc(source, slot, block)?
                        && (self.part == Part::DcFirst || self.ac(source, self.numbers[slot].1, block)?);
                    if !sound {
                        self.damaged = true;
                        break;
                    }
                }
            }
            Part::DcRefine => {
                for &index in &mcu.indices[..mcu.slots.len()] {
                    if self.coder.decide(source, &mut { EVEN })? {
                        mcu.blocks[index][0] |= 1 << self.shift;
                    }
                }
            }
            Part::AcFirst => self.damaged = !self.ac(source, self.numbers[0].1, mcu.single())?,
            Part::AcRefine => self.damaged = !self.ac_refine(source, mcu.single())?,
        }
        Ok(())
    }

    /// Decodes a DC coefficient; false for invalid data.
    fn dc(&mut self, source: &mut Source<'_>, slot: usize, block: &mut Block) -> Result<bool, ReadError> {
        let number = self.numbers[slot].0;
        let (bins, coder) = (&mut self.dc_bins[number], &mut self.coder);
        let mut bin = self.context[slot];
        if !coder.decide(source, &mut bins[bin])? {
            self.context[slot] = 0;
        } else {
            let negative = coder.decide(source, &mut bins[bin + 1])?;
            bin += 2 + usize::from(negative);
            let mut magnitude = i32::from(coder.decide(source, &mut bins[bin])?);
            if magnitude != 0 {
                bin = 20;
                while coder.decide(source, &mut bins[bin])? {
                    magnitude <<= 1;
                    if magnitude == 0x8000 {
                        return Ok(false);
                    }
                    bin += 1;
                }
            }
            let (low, high) = self.dc_bounds[number];
            self.context[slot] = if magnitude < (1 << low) >> 1 {
                0
            } else if magnitude > (1 << high) >> 1 {
                12 + 4 * usize::from(negative)
            } else {
                4 + 4 * usize::from(negative)
            };
            let value = pattern(coder, source, &mut bins[bin + 14], magnitude)?;
            let difference = if negative { -value } else { value };
            self.last_dc[slot] = (self.last_dc[slot] + difference) & 0xffff;
        }
        block[0] = (self.last_dc[slot] << self.shift) as i16;
        Ok(true)
    }

    /// Decodes the AC coefficients of a band; false for invalid data.
    fn ac(&mut self, source: &mut Source<'_>, number: usize, block: &mut Block) -> Result<bool, ReadError> {
        let (bins, coder) = (&mut self.ac_bins[number], &mut self.coder);
        let mut k = self.first;
        while k <= self.last {
            if coder.decide(source, &mut bins[3 * (k - 1)])? {
                break;
            }
            while !coder.decide(source, &mut bins[3 * (k - 1) + 1])? {
                k += 1;
                if k > self.last {
                    return Ok(false);
                }
            }
            let negative = coder.decide(source, &mut { EVEN })?;
            let mut bin = 3 * (k - 1) + 2;
            let mut magnitude = i32::from(coder.decide(source, &mut bins[bin])?);
            if magnitude != 0 && coder.decide(source, &mut bins[bin])? {
                magnitude <<= 1;
                bin = if k <= usize::from(self.ac_bounds[number]) { 189 } else { 217 };
                while coder.decide(source, &mut bins[bin])? {
                    magnitude <<= 1;
                    if magnitude == 0x8000 {
                        return Ok(false);
                    }
                    bin += 1;
                }
            }
            let value = pattern(coder, source, &mut bins[bin + 14], magnitude)?;
            let value = if negative { -value } else { value };
            block[usize::from(NATURAL[k])] = (value << self.shift) as i16;
            k += 1;
        }
        Ok(true)
    }

    /// Refines the AC coefficients of a band by one bit; false for invalid data.
    fn ac_refine(&mut self, source: &mut Source<'_>, block: &mut Block) -> Result<bool, ReadError> {
        let (bins, coder) = (&mut self.ac_bins[self.numbers[0].1], &mut self.coder);
        let plus = 1i16 << self.shift;
        let end = (1..=self.last).rev().find(|&k| block[usize::from(NATURAL[k])] != 0).unwrap_or(0);
        let mut k = self.first;
        while k <= self.last {
            if k > end && coder.decide(source, &mut bins[3 * (k - 1)])? {
                break;
            }
            loop {
                let coefficient = &mut block[usize::from(NATURAL[k])];
                if *coefficient != 0 {
                    if coder.decide(source, &mut bins[3 * (k - 1) + 2])? {
                        let step = if *coefficient < 0 { -plus } else { plus };
                        *coefficient = coefficient.wrapping_add(step);
                    }
                    break;
                }
                if coder.decide(source, &mut bins[3 * (k - 1) + 1])? {
                    *coefficient = if coder.decide(source, &mut { EVEN })? { -plus } else { plus };
                    break;
                }
                k += 1;
                if k > self.last {
                    return Ok(false);
                }
            }
            k += 1;
        }
        Ok(true)
    }
}

/// Decodes the bits below the highest one of a magnitude (figure F.24), and adds one.
fn pattern(coder: &mut Coder, source: &mut Source<'_>, bin: &mut u8, magnitude: i32) -> Result<i32, ReadError> {
    let (mut value, mut bit) = (magnitude, magnitude >> 1);
    while bit != 0 {
        if coder.decide(source, bin)? {
            value |= bit;
        }
        bit >>= 1;
    }
    Ok(value + 1)
}
