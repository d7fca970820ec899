//! Weight matrices packed in the layout of the microkernels.

use super::aligned_buf::CacheLine;
use super::arena::WeightBuf;
use super::half;
use super::micro::{COLUMNS, GROUP_LINES, Operand, QuantParams, Tile, bf16_tile, f32_tile, q4_tile, q8_tile};
use super::pool::Pool;
use super::quantize::{quantize_group, quantize_row};
use super::shared_slice::SharedSlice;
use crate::{GROUP, PackedFormat};
use std::sync::{Mutex, PoisonError};

/// A matrix `[outputs, inputs]` in panels of 32 outputs. Outputs and inputs are padded with zeros to whole panels and
/// steps.
#[derive(Debug)]
pub struct PackedMatrix {
    format: PackedFormat,
    outputs: usize,
    inputs: usize,
    panel_lines: usize,
    lines: WeightBuf,
    /// Scales of 8-bit weights, one per output.
    scales: Vec<f32>,
}

impl PackedFormat {
    /// Values per step of 4 bytes of a row.
    pub(crate) fn step(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Q8 | Self::Q4 => 4,
        }
    }

    /// Steps of a row of `inputs` values.
    pub(crate) fn steps(self, inputs: usize) -> usize {
        match self {
            Self::Q4 => inputs.div_ceil(GROUP) * (GROUP / 4),
            other => inputs.div_ceil(other.step()),
        }
    }

    fn panel_lines(self, inputs: usize) -> usize {
        match self {
            Self::Q4 => inputs.div_ceil(GROUP) * GROUP_LINES,
            other => 2 * other.steps(inputs),
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
        let panels = outputs.div_ceil(COLUMNS);
        let panel_lines = format.panel_lines(inputs);
        let mut scales = if format == PackedFormat::Q8 { vec![0.0; panels * COLUMNS] } else { Vec::new() };
        let failed = Mutex::new(None);
        // Rows padded with zeros to whole steps and groups.
        let width = format.steps(inputs) * format.step();
        let pack = |panel: usize, lines: &mut [CacheLine], scales: &mut [f32]| {
            let mut values = vec![0.0_f32; COLUMNS * width];
            for (column, values) in values.chunks_exact_mut(width.max(1)).enumerate() {
                let output = panel * COLUMNS + column;
                if output < outputs {
                    row(output, &mut values[..inputs])?;
                }
            }
            pack_panel(format, &values, width, lines, scales);
            Ok(())
        };
        let lines = WeightBuf::filled(panels * panel_lines, |lines| {
            let (lines, scales) = (SharedSlice::new(lines), SharedSlice::new(&mut scales));
            Pool::current().run(panels, |panel| {
                #[expect(unsafe_code, reason = "each task has its own panel")]
                // SAFETY: each panel is accessed by one task.
                let (lines, scales) = unsafe {
                    let scales =
                        if format == PackedFormat::Q8 { scales.part(panel * COLUMNS, COLUMNS) } else { &mut [] };
                    (lines.part(panel * panel_lines, panel_lines), scales)
                };
                if let Err(error) = pack(panel, lines, scales) {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            });
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(Self { format, outputs, inputs, panel_lines, lines, scales }),
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

    /// Multiplies a tile of rows with a panel.
    pub(crate) fn tile(&self, a: Operand<'_>, quantized: QuantParams<'_>, panel: usize, out: Tile<'_>) {
        let lines = &self.lines[panel * self.panel_lines..][..self.panel_lines];
        match self.format {
            PackedFormat::F32 => f32_tile(a, &[lines], self.panel_lines / 2, out),
            PackedFormat::Bf16 => bf16_tile(a, &[lines], self.panel_lines / 2, out),
            PackedFormat::Q8 => {
                q8_tile(a, quantized, lines, &self.scales[panel * COLUMNS..], self.panel_lines / 2, out);
            }
            PackedFormat::Q4 => q4_tile(a, quantized, lines, self.panel_lines / GROUP_LINES, out),
        }
    }
}

/// Packs 32 rows of `width` values.
fn pack_panel(format: PackedFormat, values: &[f32], width: usize, lines: &mut [CacheLine], scales: &mut [f32]) {
    let words: &mut [u32] = bytemuck::cast_slice_mut(lines);
    match format {
        PackedFormat::F32 => {
            for (column, row) in values.chunks_exact(width.max(1)).enumerate() {
                for (step, value) in row.iter().enumerate() {
                    words[step * COLUMNS + column] = value.to_bits();
                }
            }
        }
        PackedFormat::Bf16 => {
            for (column, row) in values.chunks_exact(width.max(1)).enumerate() {
                for (step, pair) in row.chunks_exact(2).enumerate() {
                    words[step * COLUMNS + column] =
                        u32::from(half::round(pair[0])) | u32::from(half::round(pair[1])) << 16;
                }
            }
        }
        PackedFormat::Q8 => {
            let mut codes = vec![0; width];
            for (column, row) in values.chunks_exact(width.max(1)).enumerate() {
                scales[column] = quantize_row(row, &mut codes);
                for (step, quad) in codes.as_chunks::<4>().0.iter().enumerate() {
                    words[step * COLUMNS + column] = u32::from_le_bytes(quad.map(|code| code as u8 ^ 0x80));
                }
            }
        }
        PackedFormat::Q4 => {
            let group_words = GROUP_LINES * 16;
            for (column, row) in values.chunks_exact(width.max(1)).enumerate() {
                for (group, values) in row.as_chunks::<GROUP>().0.iter().enumerate() {
                    let words = &mut words[group * group_words..][..group_words];
                    let (scale, nibbles) = quantize_group(values);
                    let word = (GROUP_LINES - 1) * 16 + column % 16;
                    words[word] |= u32::from(scale) << (16 * (column / 16));
                    for step in 0..4 {
                        let byte = |index: usize| nibbles[4 * step + index] | nibbles[16 + 4 * step + index] << 4;
                        words[step * COLUMNS + column] = u32::from_le_bytes([0, 1, 2, 3].map(byte));
                    }
                }
            }
        }
    }
}
