//! Huffman-coded scans (ITU-T T.81, F.2.2 and G.2).

use super::entropy::{Block, Mcu, Part};
use super::error::{JpegError, ReadError};
use super::frame::ScanHeader;
use super::huffman::{Bits, FastBits, ReadBits, Table, extend};
use super::restarts::Restarts;
use super::segments::Tables;
use super::source::Source;
use super::standard::{HuffmanSpec, NATURAL};

/// Maximum size of a coded block in bytes: if this many are left per block, the fast path needs no bounds checks.
const BLOCK_BYTES: usize = 512;
/// Maximum category of a DC difference.
const MAX_DC: u8 = 15;

/// The decoder of a Huffman-coded scan.
#[derive(Debug)]
pub(crate) struct HuffmanScan {
    part: Part,
    /// Tables by number.
    dc: [Table; 4],
    ac: [Table; 4],
    /// Table numbers of each component of the scan.
    numbers: Vec<(usize, usize)>,
    first: usize,
    last: usize,
    shift: u8,
    bits: Bits,
    last_dc: [i32; 4],
    /// Number of remaining blocks without further coefficients in the band (EOB run).
    end_of_band: u32,
    restarts: Restarts,
}

impl HuffmanScan {
    /// # Errors
    ///
    /// Tables that are missing or damaged.
    pub(crate) fn new(tables: &Tables, scan: &ScanHeader, part: Part) -> Result<Self, JpegError> {
        let mut dc: [Table; 4] = Default::default();
        let mut ac: [Table; 4] = Default::default();
        let (needs_dc, needs_ac) = match part {
            Part::All => (true, true),
            Part::DcFirst => (true, false),
            Part::DcRefine => (false, false),
            Part::AcFirst | Part::AcRefine => (false, true),
        };
        let find = |specs: &[Option<HuffmanSpec>; 4], number: u8, kind, typical: fn(bool) -> HuffmanSpec| match (
            specs.get(usize::from(number)),
            number,
        ) {
            (Some(Some(spec)), _) => Ok(spec.clone()),
            (_, 0 | 1) if part == Part::All => Ok(typical(number == 1)),
            _ => Err(JpegError::MissingTable(kind, number)),
        };
        for slot in &scan.slots {
            if needs_dc {
                let spec = find(&tables.dc, slot.dc, "DC Huffman", HuffmanSpec::typical_dc)?;
                dc[usize::from(slot.dc)] = Table::new(&spec, Some(MAX_DC))?;
            }
            if needs_ac {
                let spec = find(&tables.ac, slot.ac, "AC Huffman", HuffmanSpec::typical_ac)?;
                ac[usize::from(slot.ac)] = Table::new(&spec, None)?;
            }
        }
        Ok(Self {
            part,
            dc,
            ac,
            numbers: scan.table_numbers(),
            first: scan.ss.into(),
            last: scan.se.into(),
            shift: scan.al,
            bits: Bits::default(),
            last_dc: [0; 4],
            end_of_band: 0,
            restarts: Restarts::new(tables.restart_interval),
        })
    }

    #[inline(always)]
    pub(crate) fn is_exhausted(&self) -> bool {
        self.bits.exhausted
    }

    /// See `Entropy::decode`.
    #[inline(always)]
    pub(crate) fn decode(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> Result<(), ReadError> {
        if self.restarts.due() {
            self.restart(source)?;
        }
        match self.part {
            Part::All => self.whole(source, mcu)?,
            Part::DcFirst => self.dc_first(source, mcu)?,
            Part::DcRefine => self.dc_refine(source, mcu)?,
            Part::AcFirst => self.ac_first(source, mcu.single())?,
            Part::AcRefine => self.ac_refine(source, mcu.single())?,
        }
        self.restarts.count();
        Ok(())
    }

    #[cold]
    fn restart(&mut self, source: &mut Source<'_>) -> Result<(), ReadError> {
        self.bits.restart(source, &mut self.restarts)?;
        self.last_dc = [0; 4];
        self.end_of_band = 0;
        Ok(())
    }

    /// Decodes complete blocks: with the fast path if there is enough data, otherwise with the checked one.
    #[inline(always)]
    fn whole(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> Result<(), ReadError> {
        if self.bits.exhausted {
            return Ok(());
        }
        let fast =
            !self.restarts.are_used() && source.marker == 0 && source.remaining() >= BLOCK_BYTES * mcu.slots.len();
        if fast && self.fast(source, mcu) { Ok(()) } else { self.checked(source, mcu) }
    }

    /// Decodes an MCU; false if a marker was reached. Values written until then are kept, as in libjpeg.
    #[inline(always)]
    fn fast(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> bool {
        let (mut bits, mut last_dc) = (FastBits::new(self.bits, source), self.last_dc);
        let Ok(()) = self.blocks(&mut bits, &mut last_dc, mcu);
        if !bits.hit_marker {
            source.at = bits.at;
            (self.bits, self.last_dc) = (bits.bits(), last_dc);
        }
        !bits.hit_marker
    }

    #[inline(never)]
    fn checked(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> Result<(), ReadError> {
        let (start, mut bits, mut last_dc) = (source.at, self.bits, self.last_dc);
        source.fixed = true;
        let result = self.blocks(&mut bits.reader(source), &mut last_dc, mcu);
        source.fixed = false;
        match result {
            Ok(()) => (self.bits, self.last_dc) = (bits, last_dc),
            Err(_) => source.at = start,
        }
        result
    }

    /// Decodes the complete blocks of an MCU.
    #[inline(always)]
    fn blocks<R: ReadBits>(&self, bits: &mut R, last_dc: &mut [i32; 4], mcu: &mut Mcu<'_>) -> Result<(), R::Error> {
        for (&slot, &index) in mcu.slots.iter().zip(&mcu.indices) {
            let block = &mut mcu.blocks[index];
            let (dc, ac) = self.numbers[slot];
            last_dc[slot] = last_dc[slot].wrapping_add(bits.difference(&self.dc[dc])?);
            block[0] = last_dc[slot] as i16;
            let table = &self.ac[ac];
            let mut k = 1;
            while k < 64 {
                let symbol = bits.symbol(table)?;
                let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
                if size != 0 {
                    k += run;
                    block[usize::from(NATURAL[k])] = extend(bits.take(size)?, size) as i16;
                } else if run == 15 {
                    k += 15;
                } else {
                    break;
                }
                k += 1;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn dc_first(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> Result<(), ReadError> {
        if self.bits.exhausted {
            return Ok(());
        }
        let mut bits = self.bits.reader(source);
        for (&slot, &index) in mcu.slots.iter().zip(&mcu.indices) {
            let difference = bits.difference(&self.dc[self.numbers[slot].0])?;
            let value = self.last_dc[slot].checked_add(difference).ok_or(JpegError::Segment("scan"))?;
            self.last_dc[slot] = value;
            mcu.blocks[index][0] = (value << self.shift) as i16;
        }
        Ok(())
    }

    #[inline(always)]
    fn dc_refine(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> Result<(), ReadError> {
        let mut bits = self.bits.reader(source);
        for &index in &mcu.indices[..mcu.slots.len()] {
            if bits.take(1)? != 0 {
                mcu.blocks[index][0] |= 1 << self.shift;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn ac_first(&mut self, source: &mut Source<'_>, block: &mut Block) -> Result<(), ReadError> {
        if self.bits.exhausted {
            return Ok(());
        }
        if self.end_of_band > 0 {
            self.end_of_band -= 1;
            return Ok(());
        }
        let table = &self.ac[self.numbers[0].1];
        let mut bits = self.bits.reader(source);
        let mut k = self.first;
        while k <= self.last {
            let symbol = bits.symbol(table)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size != 0 {
                k += run as usize;
                let value = extend(bits.take(size)?, size);
                block[usize::from(NATURAL[k])] = (value << self.shift) as i16;
            } else if run == 15 {
                k += 15;
            } else {
                self.end_of_band = (1 << run) - 1;
                if run > 0 {
                    self.end_of_band += bits.take(run)?;
                }
                break;
            }
            k += 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn ac_refine(&mut self, source: &mut Source<'_>, block: &mut Block) -> Result<(), ReadError> {
        if self.bits.exhausted {
            return Ok(());
        }
        let table = &self.ac[self.numbers[0].1];
        let mut bits = self.bits.reader(source);
        let plus = 1i16 << self.shift;
        let mut k = self.first;
        while self.end_of_band == 0 && k <= self.last {
            let symbol = bits.symbol(table)?;
            let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
            let mut value = 0;
            if size != 0 {
                value = if bits.take(1)? != 0 { plus } else { -plus };
            } else if run != 15 {
                self.end_of_band = 1 << run;
                if run > 0 {
                    self.end_of_band += bits.take(run)?;
                }
                break;
            }
            // One bit per nonzero coefficient up to the position of the new one.
            loop {
                let coefficient = &mut block[usize::from(NATURAL[k])];
                if *coefficient != 0 {
                    refine(coefficient, plus, bits.take(1)?);
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                k += 1;
                if k > self.last {
                    break;
                }
            }
            if value != 0 {
                block[usize::from(NATURAL[k])] = value;
            }
            k += 1;
        }
        if self.end_of_band > 0 {
            for &index in NATURAL.get(k..=self.last).unwrap_or_default() {
                let coefficient = &mut block[usize::from(index)];
                if *coefficient != 0 {
                    refine(coefficient, plus, bits.take(1)?);
                }
            }
            self.end_of_band -= 1;
        }
        Ok(())
    }
}

/// Refines a nonzero coefficient by one bit, away from zero.
#[inline(always)]
fn refine(coefficient: &mut i16, plus: i16, bit: u32) {
    if bit != 0 && *coefficient & plus == 0 {
        *coefficient = if *coefficient >= 0 { coefficient.wrapping_add(plus) } else { coefficient.wrapping_sub(plus) };
    }
}
