//! Frame header and derived sizes.

use super::error::JpegError;

/// Edge of a block in samples.
pub(crate) const SIDE: usize = 8;
/// Maximum number of blocks per MCU (ITU-T T.81, B.2.3).
pub(crate) const MAX_MCU_BLOCKS: usize = 10;
/// Maximum width and height in libjpeg.
const MAX_SIDE: usize = 65_500;
/// Maximum sampling factor (B.2.2).
const MAX_FACTOR: usize = 4;

/// Coding process of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// Sequential DCT (SOF0, SOF1, SOF9).
    Sequential,
    /// Progressive DCT (SOF2, SOF10).
    Progressive,
    /// Lossless: differences of neighboring samples (SOF3).
    Lossless,
}

/// A component (channel) of an image.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub(crate) id: u8,
    /// Sampling factors.
    pub(crate) h: usize,
    pub(crate) v: usize,
    /// Quantization table number.
    pub(crate) quantizer: u8,
    /// The quantization table at the start of the component's first scan.
    pub(crate) quantization: Option<[u16; 64]>,
    /// Width and height in data units: blocks, or samples in lossless frames.
    pub(crate) units_x: usize,
    pub(crate) units_y: usize,
    /// Width and height in samples.
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// A frame: image size and components.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) process: Process,
    pub(crate) arithmetic: bool,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) components: Vec<Component>,
    /// Maximum sampling factors.
    pub(crate) h: usize,
    pub(crate) v: usize,
}

impl Frame {
    /// Edge of a data unit in samples.
    pub(crate) fn unit(&self) -> usize {
        if self.process == Process::Lossless { 1 } else { SIDE }
    }

    /// Number of MCU rows and columns for interleaved scans.
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
    /// Sizes or factors that the reference rejects.
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

/// A component of a scan and its entropy coding table numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) component: usize,
    pub(crate) dc: u8,
    pub(crate) ac: u8,
}

/// A scan header.
#[derive(Debug, Clone)]
pub(crate) struct ScanHeader {
    pub(crate) slots: Vec<Slot>,
    /// Spectral selection: first and last coefficient.
    pub(crate) ss: u8,
    pub(crate) se: u8,
    /// Successive approximation: bit positions of the previous scan and of this one.
    pub(crate) ah: u8,
    pub(crate) al: u8,
    /// Index of the scan in the file, starting at 1.
    pub(crate) number: u32,
}

impl ScanHeader {
    /// Numbers of the DC and AC tables of each component.
    pub(crate) fn table_numbers(&self) -> Vec<(usize, usize)> {
        self.slots.iter().map(|slot| (slot.dc.into(), slot.ac.into())).collect()
    }
}

/// MCU layout of a scan.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// MCUs per row.
    pub(crate) columns: usize,
    /// Data units per MCU for each component of the scan: horizontally and vertically.
    pub(crate) units: Vec<(usize, usize)>,
    /// Slot of each data unit of an MCU.
    pub(crate) slot_of: Vec<usize>,
}

impl Layout {
    /// # Errors
    ///
    /// An MCU with too many data units.
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

    /// MCU rows of the scan per MCU row of the frame.
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
