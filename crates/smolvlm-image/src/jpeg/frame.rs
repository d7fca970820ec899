//! What the frame header says, and the sizes that follow from it.

use super::error::JpegError;

/// Samples along one side of a block.
pub(crate) const SIDE: usize = 8;
/// Most blocks of one MCU (ITU-T T.81, B.2.3).
pub(crate) const MAX_MCU_BLOCKS: usize = 10;
/// Largest width and height that libjpeg reads.
const MAX_SIDE: usize = 65_500;
/// Largest sampling factor (B.2.2).
const MAX_FACTOR: usize = 4;

/// How the samples are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// Blocks, whole coefficients at once (SOF0, SOF1, SOF9).
    Sequential,
    /// Blocks, refined from scan to scan (SOF2, SOF10).
    Progressive,
    /// Differences of neighboring samples (SOF3).
    Lossless,
}

/// A component (channel) of an image.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub(crate) id: u8,
    /// Sampling factors.
    pub(crate) h: usize,
    pub(crate) v: usize,
    /// Number of its quantization table.
    pub(crate) quantizer: u8,
    /// The table, as it was when the first scan of the component began.
    pub(crate) quantization: Option<[u16; 64]>,
    /// Width and height in data units: blocks, or samples of lossless frames.
    pub(crate) units_x: usize,
    pub(crate) units_y: usize,
    /// Width and height in samples.
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// A frame: the image's size and components.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) process: Process,
    pub(crate) arithmetic: bool,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) components: Vec<Component>,
    /// Largest sampling factors.
    pub(crate) h: usize,
    pub(crate) v: usize,
}

impl Frame {
    /// Side of a data unit in samples.
    pub(crate) fn unit(&self) -> usize {
        if self.process == Process::Lossless { 1 } else { SIDE }
    }

    /// Rows and columns of MCUs that hold all components.
    pub(crate) fn mcu_rows(&self) -> usize {
        self.height.div_ceil(self.v * self.unit())
    }

    pub(crate) fn mcu_columns(&self) -> usize {
        self.width.div_ceil(self.h * self.unit())
    }

    /// Computes the sizes of the components from the sampling factors.
    ///
    /// # Errors
    ///
    /// Sizes or factors that the reference refuses.
    pub(crate) fn lay_out(&mut self) -> Result<(), JpegError> {
        if self.width > MAX_SIDE || self.height > MAX_SIDE {
            return Err(JpegError::Unsupported("a JPEG image of more than 65500 pixels in width or height"));
        }
        let factor = 1..=MAX_FACTOR;
        if !self.components.iter().all(|component| factor.contains(&component.h) && factor.contains(&component.v)) {
            return Err(JpegError::Segment("frame"));
        }
        self.h = self.components.iter().map(|component| component.h).max().unwrap_or(1);
        self.v = self.components.iter().map(|component| component.v).max().unwrap_or(1);
        let (width, height, h, v, unit) = (self.width, self.height, self.h, self.v, self.unit());
        for component in &mut self.components {
            if !h.is_multiple_of(component.h) || !v.is_multiple_of(component.v) {
                return Err(JpegError::Unsupported("a JPEG image with fractional subsampling"));
            }
            component.units_x = (width * component.h).div_ceil(h * unit);
            component.units_y = (height * component.v).div_ceil(v * unit);
            component.width = (width * component.h).div_ceil(h);
            component.height = (height * component.v).div_ceil(v);
        }
        Ok(())
    }
}

/// A component of a scan, with the numbers of its entropy coding tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) component: usize,
    pub(crate) dc: u8,
    pub(crate) ac: u8,
}

/// What a scan header says.
#[derive(Debug, Clone)]
pub(crate) struct ScanHeader {
    pub(crate) slots: Vec<Slot>,
    /// Spectral selection: first and last coefficient.
    pub(crate) ss: u8,
    pub(crate) se: u8,
    /// Successive approximation: bit position of the scan before, and of this one.
    pub(crate) ah: u8,
    pub(crate) al: u8,
    /// Place among the scans of the file, from 1.
    pub(crate) number: u32,
}

/// The order of a scan's MCUs, and the data units within one.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// MCUs of a row.
    pub(crate) columns: usize,
    /// Data units of an MCU for each component of the scan: across and down.
    pub(crate) units: Vec<(usize, usize)>,
    /// Slot of each data unit of an MCU.
    pub(crate) slot_of: Vec<usize>,
}

impl Layout {
    /// # Errors
    ///
    /// An MCU of too many data units.
    pub(crate) fn new(frame: &Frame, scan: &ScanHeader) -> Result<Self, JpegError> {
        if let [slot] = scan.slots[..] {
            let columns = frame.components[slot.component].units_x;
            return Ok(Self { columns, units: vec![(1, 1)], slot_of: vec![0] });
        }
        let component = |slot: &Slot| &frame.components[slot.component];
        let units: Vec<_> = scan.slots.iter().map(|slot| (component(slot).h, component(slot).v)).collect();
        let slot_of: Vec<_> =
            units.iter().enumerate().flat_map(|(slot, (h, v))| std::iter::repeat_n(slot, h * v)).collect();
        if slot_of.len() > MAX_MCU_BLOCKS {
            return Err(JpegError::Segment("scan"));
        }
        Ok(Self { columns: frame.mcu_columns(), units, slot_of })
    }

    /// Rows of MCUs of the scan within a row of MCUs of the frame.
    pub(crate) fn rows(&self, frame: &Frame, scan: &ScanHeader, row: usize) -> usize {
        match scan.slots[..] {
            [slot] => {
                let component = &frame.components[slot.component];
                component.v.min(component.units_y.saturating_sub(row * component.v))
            }
            _ => 1,
        }
    }
}
