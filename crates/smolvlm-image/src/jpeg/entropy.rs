//! Entropy decoding of a scan.

use super::arithmetic::ArithmeticScan;
use super::error::{JpegError, ReadError};
use super::frame::{Frame, MAX_MCU_BLOCKS, Process, ScanHeader};
use super::huffman_scan::HuffmanScan;
use super::segments::Tables;
use super::source::Source;

/// The coefficients of a block in row order, not dequantized.
pub(crate) type Block = [i16; 64];

/// The blocks of an MCU. Coefficients that are not in the data are unchanged.
#[derive(Debug)]
pub(crate) struct Mcu<'a> {
    /// Slot of each block; see `Layout`.
    pub(crate) slots: &'a [usize],
    /// Index of each block in `blocks`.
    pub(crate) indices: [usize; MAX_MCU_BLOCKS],
    pub(crate) blocks: &'a mut [Block],
}

impl Mcu<'_> {
    /// The block of a scan of one component.
    #[inline(always)]
    pub(crate) fn single(&mut self) -> &mut Block {
        &mut self.blocks[self.indices[0]]
    }
}

/// The coefficients contained in a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Complete blocks.
    All,
    /// DC coefficients, first scan (upper bits).
    DcFirst,
    /// DC coefficients, refinement by one bit.
    DcRefine,
    /// AC coefficients of a band, first scan (upper bits).
    AcFirst,
    /// AC coefficients of a band, refinement by one bit.
    AcRefine,
}

impl Part {
    /// # Errors
    ///
    /// Parameters that are impossible in a progressive scan.
    fn new(frame: &Frame, scan: &ScanHeader) -> Result<Self, JpegError> {
        if frame.process != Process::Progressive {
            return Ok(Part::All);
        }
        let &ScanHeader { ss, se, ah, al, .. } = scan;
        let band = if ss == 0 { se == 0 } else { ss <= se && se < 64 && scan.slots.len() == 1 };
        if !band || (ah != 0 && al + 1 != ah) || al > 13 {
            return Err(JpegError::ScanParameters(ss, se, ah, al));
        }
        Ok(match (ss, ah) {
            (0, 0) => Part::DcFirst,
            (0, _) => Part::DcRefine,
            (_, 0) => Part::AcFirst,
            _ => Part::AcRefine,
        })
    }
}

/// The decoder of a scan.
#[derive(Debug)]
pub(crate) enum Entropy {
    Huffman(Box<HuffmanScan>),
    Arithmetic(Box<ArithmeticScan>),
}

impl Entropy {
    /// Prepares the tables of a scan.
    ///
    /// # Errors
    ///
    /// Tables that are missing or damaged, invalid parameters.
    pub(crate) fn new(tables: &Tables, frame: &Frame, scan: &ScanHeader) -> Result<Self, JpegError> {
        let part = Part::new(frame, scan)?;
        Ok(if frame.arithmetic {
            Entropy::Arithmetic(Box::new(ArithmeticScan::new(tables, scan, part)))
        } else {
            Entropy::Huffman(Box::new(HuffmanScan::new(tables, scan, part)?))
        })
    }

    /// Whether the data of the current interval is exhausted.
    #[inline(always)]
    pub(crate) fn is_exhausted(&self) -> bool {
        match self {
            Entropy::Huffman(scan) => scan.is_exhausted(),
            Entropy::Arithmetic(_) => false,
        }
    }

    /// Decodes an MCU.
    ///
    /// # Errors
    ///
    /// [`ReadError::Suspended`] at the end of the window, without side effects: extend it and repeat.
    #[inline(always)]
    pub(crate) fn decode(&mut self, source: &mut Source<'_>, mcu: &mut Mcu<'_>) -> Result<(), ReadError> {
        match self {
            Entropy::Huffman(scan) => scan.decode(source, mcu),
            Entropy::Arithmetic(scan) => scan.decode(source, mcu),
        }
    }
}
