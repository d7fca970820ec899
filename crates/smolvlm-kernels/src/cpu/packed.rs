//! Weight matrices packed in the layout of the microkernels.

use super::aligned_buf::CacheLine;
use super::arena::WeightBuf;
use super::half;
use super::micro::{
    COLUMNS, Operand, Q4_LINES, Q8_LINES, QuantParams, Tile, bf16_tile, convert, f32_tile, is_widened, mixed_tile,
    q4_tile, q8_tile,
};
use super::pool::Pool;
use super::quantize::{prepare_weights, quantize_q4, quantize_q8};
use super::shared_slice::SharedSlice;
use crate::{PackedFormat, Q4_GROUP, Q8_GROUP};
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

/// A matrix `[outputs, inputs]` in panels of 32 outputs. Outputs and inputs are padded to whole panels, groups and
/// steps.
#[derive(Debug)]
pub struct PackedMatrix {
    format: PackedFormat,
    outputs: usize,
    inputs: usize,
    panel_lines: usize,
    lines: WeightBuf,
}

/// A matrix in groups of 8 bits or 4 bits, row by row, as [`quantize_q8`] and [`quantize_q4`] return them for rows
/// after [`prepare_weights`].
#[derive(Debug, Clone, Copy)]
pub struct QuantizedRows<'a> {
    /// 8 bits: signed codes. 4 bits: codes of two inputs in a byte, the earlier one in the low nibble.
    pub codes: &'a [u8],
    /// The little-endian bf16 scale of each group; in 4 bits followed by its minimum.
    pub scales: &'a [u8],
}

impl PackedFormat {
    /// Weights per step of 4 bytes of a column.
    pub(crate) fn step(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 | Self::Bf16Weights => 2,
            Self::Q8 | Self::Q4 => 4,
        }
    }

    /// Steps of a row of `inputs` values.
    pub(crate) fn steps(self, inputs: usize) -> usize {
        inputs.next_multiple_of(self.group().unwrap_or(1)).div_ceil(self.step())
    }

    /// Groups of a row of `inputs` values; 0 if the format has no groups.
    pub(crate) fn groups(self, inputs: usize) -> usize {
        self.group().map_or(0, |group| inputs.div_ceil(group))
    }

    fn panel_lines(self, inputs: usize) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::Bf16Weights => 2 * self.steps(inputs),
            Self::Q8 => self.groups(inputs) * Q8_LINES,
            Self::Q4 => self.groups(inputs) * Q4_LINES,
        }
    }
}

impl PackedMatrix {
    /// Packs a matrix. `row` fills a slice of `inputs` values with the row of an output; it is called from several
    /// threads, once per row.
    ///
    /// # Errors
    ///
    /// An error of `row`.
    pub fn pack<E: Send>(
        outputs: usize,
        inputs: usize,
        format: PackedFormat,
        row: impl Fn(usize, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        // Rows padded to whole steps and groups.
        let width = format.steps(inputs) * format.step();
        Self::fill(outputs, inputs, format, |panel, lines| {
            let mut values = vec![0.0_f32; COLUMNS * width];
            for (column, values) in values.chunks_exact_mut(width.max(1)).enumerate() {
                let output = panel * COLUMNS + column;
                if output < outputs {
                    row(output, &mut values[..inputs])?;
                    prepare_weights(format, values, inputs);
                }
            }
            pack_panel(format, &values, width, lines);
            Ok(())
        })
    }

    /// Packs a matrix that is quantized already.
    ///
    /// # Panics
    ///
    /// When the format is not quantized, or the matrix does not have as many codes and scales.
    pub fn from_quantized(outputs: usize, inputs: usize, format: PackedFormat, rows: QuantizedRows<'_>) -> Self {
        match format {
            PackedFormat::Q8 => Self::from_groups(outputs, inputs, format, rows, put_q8),
            PackedFormat::Q4 => Self::from_groups(outputs, inputs, format, rows, put_q4),
            other => panic!("{other:?} is not quantized"),
        }
    }

    /// Packs groups of `CODES` bytes of codes and `SCALES` bytes of scales, each with a function of its lines and
    /// column.
    fn from_groups<const CODES: usize, const SCALES: usize>(
        outputs: usize,
        inputs: usize,
        format: PackedFormat,
        rows: QuantizedRows<'_>,
        put: impl Fn(&mut [u32], usize, &[u8; SCALES], &[u8; CODES]) + Sync,
    ) -> Self {
        let groups = format.groups(inputs);
        let (codes, scales) = (rows.codes.as_chunks().0, rows.scales.as_chunks().0);
        assert_eq!(
            [codes.len(), scales.len()],
            [outputs * groups; 2],
            "a group of codes and scales for each of weights"
        );
        let packed = Self::fill(outputs, inputs, format, |panel, lines| -> Result<(), Infallible> {
            let words: &mut [u32] = bytemuck::cast_slice_mut(lines);
            let group_words = words.len() / groups.max(1);
            for column in 0..COLUMNS {
                let output = panel * COLUMNS + column;
                for (group, words) in words.chunks_exact_mut(group_words.max(1)).enumerate() {
                    if output < outputs {
                        put(words, column, &scales[output * groups + group], &codes[output * groups + group]);
                    } else {
                        put(words, column, &[0; SCALES], &[0; CODES]);
                    }
                }
            }
            Ok(())
        });
        let Ok(packed) = packed;
        packed
    }

    /// A matrix of panels that a function fills, given their index and their lines, which are zero.
    fn fill<E: Send>(
        outputs: usize,
        inputs: usize,
        format: PackedFormat,
        panel: impl Fn(usize, &mut [CacheLine]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        let panels = outputs.div_ceil(COLUMNS);
        let panel_lines = format.panel_lines(inputs);
        let failed = Mutex::new(None);
        let lines = WeightBuf::filled(panels * panel_lines, |lines| {
            let lines = SharedSlice::new(lines);
            Pool::current().run(panels, |index| {
                #[expect(unsafe_code, reason = "each task has its own panel")]
                // SAFETY: each panel is accessed by one task.
                let lines = unsafe { lines.part(index * panel_lines, panel_lines) };
                if let Err(error) = panel(index, lines) {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            });
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(Self { format, outputs, inputs, panel_lines, lines }),
        }
    }

    /// Number format of the weights.
    pub fn format(&self) -> PackedFormat {
        self.format
    }

    /// Number of output features, the rows of the matrix.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of input features, the columns of the matrix.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of panels.
    pub(crate) fn panels(&self) -> usize {
        self.outputs.div_ceil(COLUMNS)
    }

    /// A panel for this number of rows in a layout: converted into `scratch` if the layout differs from that of the
    /// weights, unless there is a kernel for both and the rows are too few for a conversion to pay.
    pub(crate) fn panel<'a>(
        &'a self,
        index: usize,
        layout: PackedFormat,
        rows: usize,
        scratch: &'a mut Vec<CacheLine>,
    ) -> Panel<'a> {
        let lines = &self.lines[index * self.panel_lines..][..self.panel_lines];
        let is_mixed = self.format == PackedFormat::Bf16Weights && !is_widened(rows);
        if layout == self.format || is_mixed {
            return Panel { format: self.format, lines };
        }
        let inputs = self.format.steps(self.inputs) * self.format.step();
        scratch.resize(layout.panel_lines(inputs), CacheLine::default());
        convert(self.format, lines, scratch);
        Panel { format: layout, lines: scratch }
    }
}

/// A panel of a matrix, in a format that has a kernel for the rows that it is multiplied with.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    format: PackedFormat,
    lines: &'a [CacheLine],
}

impl Panel<'_> {
    /// Multiplies a tile of rows with the panel.
    pub(crate) fn multiply(self, a: Operand<'_>, quantized: QuantParams<'_>, out: Tile<'_>) {
        let lines = self.lines;
        match self.format {
            PackedFormat::F32 => f32_tile(a, &[lines], lines.len() / 2, out),
            PackedFormat::Bf16 => bf16_tile(a, &[lines], lines.len() / 2, out),
            PackedFormat::Bf16Weights => mixed_tile(a, lines, lines.len() / 2, out),
            PackedFormat::Q8 => q8_tile(a, quantized, lines, lines.len() / Q8_LINES, out),
            PackedFormat::Q4 => q4_tile(a, quantized, lines, lines.len() / Q4_LINES, out),
        }
    }
}

/// Packs 32 rows of `width` values.
fn pack_panel(format: PackedFormat, values: &[f32], width: usize, lines: &mut [CacheLine]) {
    let words: &mut [u32] = bytemuck::cast_slice_mut(lines);
    match format {
        PackedFormat::F32 => {
            for (column, row) in values.chunks_exact(width.max(1)).enumerate() {
                for (step, value) in row.iter().enumerate() {
                    words[step * COLUMNS + column] = value.to_bits();
                }
            }
        }
        PackedFormat::Bf16 | PackedFormat::Bf16Weights => {
            for (column, row) in values.chunks_exact(width.max(1)).enumerate() {
                for (step, pair) in row.chunks_exact(2).enumerate() {
                    words[step * COLUMNS + column] =
                        u32::from(half::round(pair[0])) | u32::from(half::round(pair[1])) << 16;
                }
            }
        }
        PackedFormat::Q8 => {
            for (column, row) in values.chunks_exact(width.max(1)).enumerate() {
                let groups = words.chunks_exact_mut(16 * Q8_LINES).zip(row.as_chunks::<Q8_GROUP>().0);
                for (words, values) in groups {
                    let (scale, codes) = quantize_q8(values);
                    put_q8(words, column, &scale.to_le_bytes(), &codes.map(|code| code as u8));
                }
            }
        }
        PackedFormat::Q4 => {
            for (column, row) in values.chunks_exact(width.max(1)).enumerate() {
                let groups = words.chunks_exact_mut(16 * Q4_LINES).zip(row.as_chunks::<Q4_GROUP>().0);
                for (words, values) in groups {
                    let (scales, codes) = quantize_q4(values);
                    put_q4(words, column, &bytemuck::cast(scales.map(u16::to_le_bytes)), &codes);
                }
            }
        }
    }
}

/// Writes the group of a column to its lines, which are zero where scales are. Codes are stored without sign.
fn put_q8(words: &mut [u32], column: usize, scale: &[u8; 2], codes: &[u8; Q8_GROUP]) {
    for (step, quad) in codes.as_chunks().0.iter().enumerate() {
        words[step * COLUMNS + column] = u32::from_le_bytes(*quad) ^ 0x8080_8080;
    }
    put_scale(&mut words[16 * (Q8_LINES - 1)..], column, u16::from_le_bytes(*scale));
}

/// Writes the group of a column to its lines, which are zero where scales are. Steps `s` and `s + 4` share a word.
fn put_q4(words: &mut [u32], column: usize, scales: &[u8; 4], codes: &[u8; Q4_GROUP / 2]) {
    let (early, late) = codes.split_at(Q4_GROUP / 4);
    let steps = early.as_chunks::<2>().0.iter().zip(late.as_chunks::<2>().0);
    for (step, ([a, b], [c, d])) in steps.enumerate() {
        let low = |early: u8, late: u8| early & 0x0f | late << 4;
        let high = |early: u8, late: u8| early >> 4 | late & 0xf0;
        let bytes = [low(*a, *c), high(*a, *c), low(*b, *d), high(*b, *d)];
        words[step * COLUMNS + column] = u32::from_le_bytes(bytes);
    }
    let [scale, minimum] = bytemuck::cast::<[u8; 4], [[u8; 2]; 2]>(*scales).map(u16::from_le_bytes);
    put_scale(&mut words[16 * (Q4_LINES - 2)..], column, scale);
    put_scale(&mut words[16 * (Q4_LINES - 1)..], column, minimum);
}

/// Writes the scale of a column to a line of zeros; columns `c` and `c + 16` share a word.
fn put_scale(line: &mut [u32], column: usize, scale: u16) {
    line[column % 16] |= u32::from(scale) << (16 * (column / 16));
}
