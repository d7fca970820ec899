//! Marker segments: tables, frame header, scan header.

use super::error::{JpegError, ReadError};
use super::frame::{Component, Frame, Process, ScanHeader, Slot};
use super::source::Source;
use super::standard::{HuffmanSpec, NATURAL};

/// The tables defined so far; scans use those defined when they start.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Quantization tables in row order.
    pub(crate) quantization: [Option<[u16; 64]>; 4],
    pub(crate) dc: [Option<HuffmanSpec>; 4],
    pub(crate) ac: [Option<HuffmanSpec>; 4],
    pub(crate) conditioning: Conditioning,
    /// MCUs between restart markers; 0 for none.
    pub(crate) restart_interval: u32,
}

/// Conditioning of arithmetic coding (F.1.4.4).
#[derive(Debug)]
pub(crate) struct Conditioning {
    /// Bounds of small DC differences.
    pub(crate) dc: [(u8, u8); 16],
    /// Last coefficient whose magnitude uses the first set of statistics.
    pub(crate) ac: [u8; 16],
}

impl Default for Conditioning {
    fn default() -> Self {
        Self { dc: [(0, 1); 16], ac: [5; 16] }
    }
}

/// Color space information of the application markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ColorMarkers {
    /// Whether there is a JFIF marker.
    pub(crate) jfif: bool,
    /// The color transform of the Adobe marker.
    pub(crate) adobe: Option<u8>,
}

/// Headers read so far.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    pub(crate) tables: Tables,
    pub(crate) frame: Option<Frame>,
    pub(crate) color: ColorMarkers,
    scans: u32,
    started: bool,
}

/// End of a sequence of marker segments.
#[derive(Debug)]
pub(crate) enum Event {
    Scan(ScanHeader),
    End,
}

impl Headers {
    /// Parses segments up to a scan or the end of the image.
    pub(crate) fn read(&mut self, source: &mut Source<'_>) -> Result<Event, ReadError> {
        loop {
            if !self.started {
                self.start(source)?;
            }
            if source.marker == 0 {
                source.find_marker()?;
            }
            match source.marker {
                0xc0 | 0xc1 => self.frame(source, Process::Sequential, false)?,
                0xc2 => self.frame(source, Process::Progressive, false)?,
                0xc3 => self.frame(source, Process::Lossless, false)?,
                0xc9 => self.frame(source, Process::Sequential, true)?,
                0xca => self.frame(source, Process::Progressive, true)?,
                0xc4 => self.huffman(source)?,
                0xcc => self.conditioning(source)?,
                0xd9 => {
                    source.marker = 0;
                    return Ok(Event::End);
                }
                0xda => {
                    let scan = self.scan(source)?;
                    source.marker = 0;
                    return Ok(Event::Scan(scan));
                }
                0xdb => self.quantization(source)?,
                0xdd => self.restart_interval(source)?,
                0xe0 | 0xee => self.application(source)?,
                0xdc | 0xe1..=0xef | 0xfe => {
                    let length = source.word()?;
                    source.skip(usize::from(length).saturating_sub(2));
                }
                0x01 | 0xd0..=0xd7 => {}
                code => return Err(JpegError::Marker(code).into()),
            }
            source.marker = 0;
        }
    }

    /// Starts a new image, keeping the tables of a tables-only datastream.
    pub(crate) fn begin_again(&mut self) {
        let tables = std::mem::take(&mut self.tables);
        *self = Self { tables, ..Self::default() };
    }

    /// Parses the start-of-image marker.
    fn start(&mut self, source: &mut Source<'_>) -> Result<(), ReadError> {
        if source.word()? != 0xffd8 {
            return Err(JpegError::NoScan.into());
        }
        self.started = true;
        self.tables.conditioning = Conditioning::default();
        self.tables.restart_interval = 0;
        Ok(())
    }

    fn frame(&mut self, source: &mut Source<'_>, process: Process, arithmetic: bool) -> Result<(), ReadError> {
        const DAMAGED: JpegError = JpegError::Segment("frame");
        if self.frame.is_some() {
            return Err(DAMAGED.into());
        }
        let length = source.word()?;
        let precision = source.byte()?;
        let (height, width) = (source.word()?, source.word()?);
        let count = source.byte()?;
        if height == 0 || width == 0 || count == 0 || length != 8 + 3 * u16::from(count) {
            return Err(DAMAGED.into());
        }
        if precision != 8 {
            return Err(JpegError::Unsupported("a JPEG image with other than 8 bits a sample").into());
        }
        let mut components = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (id, factors, quantizer) = (source.byte()?, source.byte()?, source.byte()?);
            components.push(Component {
                id,
                h: usize::from(factors >> 4),
                v: usize::from(factors & 15),
                quantizer,
                quantization: None,
                units_x: 0,
                units_y: 0,
                width: 0,
                height: 0,
            });
        }
        let (width, height) = (usize::from(width), usize::from(height));
        self.frame = Some(Frame { process, arithmetic, width, height, components, h: 1, v: 1 });
        Ok(())
    }

    fn scan(&mut self, source: &mut Source<'_>) -> Result<ScanHeader, ReadError> {
        const DAMAGED: JpegError = JpegError::Segment("scan");
        let frame = self.frame.as_ref().ok_or(DAMAGED)?;
        let length = source.word()?;
        let count = source.byte()?;
        if !(1..=4).contains(&count) || length != u16::from(count) * 2 + 6 {
            return Err(DAMAGED.into());
        }
        let mut slots: Vec<Slot> = Vec::with_capacity(4);
        for _ in 0..count {
            let (id, tables) = (source.byte()?, source.byte()?);
            // libjpeg skips a component that is already in the scan.
            let component = (0..frame.components.len().min(4))
                .find(|&index| frame.components[index].id == id && index >= slots.len())
                .ok_or(DAMAGED)?;
            if slots.iter().any(|slot| slot.component == component) {
                return Err(DAMAGED.into());
            }
            slots.push(Slot { component, dc: tables >> 4, ac: tables & 15 });
        }
        let (ss, se, approximation) = (source.byte()?, source.byte()?, source.byte()?);
        self.scans += 1;
        Ok(ScanHeader { slots, ss, se, ah: approximation >> 4, al: approximation & 15, number: self.scans })
    }

    fn huffman(&mut self, source: &mut Source<'_>) -> Result<(), ReadError> {
        const DAMAGED: JpegError = JpegError::Segment("Huffman table");
        let mut length = i32::from(source.word()?) - 2;
        while length > 16 {
            let index = source.byte()?;
            let mut spec = HuffmanSpec { counts: [0; 16], symbols: [0; 256] };
            for count in &mut spec.counts {
                *count = source.byte()?;
            }
            length -= 17;
            let count: i32 = spec.counts.iter().map(|&count| i32::from(count)).sum();
            if count > 256 || count > length {
                return Err(DAMAGED.into());
            }
            for symbol in &mut spec.symbols[..count as usize] {
                *symbol = source.byte()?;
            }
            length -= count;
            let tables = if index & 0x10 != 0 { &mut self.tables.ac } else { &mut self.tables.dc };
            *tables.get_mut(usize::from(index & !0x10)).ok_or(DAMAGED)? = Some(spec);
        }
        if length == 0 { Ok(()) } else { Err(DAMAGED.into()) }
    }

    fn quantization(&mut self, source: &mut Source<'_>) -> Result<(), ReadError> {
        const DAMAGED: JpegError = JpegError::Segment("quantization table");
        let mut length = i32::from(source.word()?) - 2;
        while length > 0 {
            let header = source.byte()?;
            let wide = header >> 4 != 0;
            let slot = self.tables.quantization.get_mut(usize::from(header & 15)).ok_or(DAMAGED)?;
            let table = slot.get_or_insert([0; 64]);
            for &index in &NATURAL[..64] {
                table[usize::from(index)] = if wide { source.word()? } else { source.byte()?.into() };
            }
            length -= if wide { 129 } else { 65 };
        }
        if length == 0 { Ok(()) } else { Err(DAMAGED.into()) }
    }

    fn conditioning(&mut self, source: &mut Source<'_>) -> Result<(), ReadError> {
        const DAMAGED: JpegError = JpegError::Segment("arithmetic coding");
        let mut length = i32::from(source.word()?) - 2;
        while length > 0 {
            let (index, value) = (source.byte()?, source.byte()?);
            length -= 2;
            let conditioning = &mut self.tables.conditioning;
            match index {
                0..=15 if value & 15 <= value >> 4 => conditioning.dc[usize::from(index)] = (value & 15, value >> 4),
                16..=31 => conditioning.ac[usize::from(index - 16)] = value,
                _ => return Err(DAMAGED.into()),
            }
        }
        if length == 0 { Ok(()) } else { Err(DAMAGED.into()) }
    }

    fn restart_interval(&mut self, source: &mut Source<'_>) -> Result<(), ReadError> {
        if source.word()? != 4 {
            return Err(JpegError::Segment("restart interval").into());
        }
        self.tables.restart_interval = source.word()?.into();
        Ok(())
    }

    /// Parses JFIF and Adobe markers.
    fn application(&mut self, source: &mut Source<'_>) -> Result<(), ReadError> {
        let length = usize::from(source.word()?).saturating_sub(2);
        let mut data = [0; 14];
        let data = &mut data[..length.min(14)];
        for byte in &mut *data {
            *byte = source.byte()?;
        }
        source.skip(length - data.len());
        match source.marker {
            0xe0 if data.len() == 14 && data.starts_with(b"JFIF\0") => self.color.jfif = true,
            0xee if data.starts_with(b"Adobe") => {
                if let Some(&transform) = data.get(11) {
                    self.color.adobe = Some(transform);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
