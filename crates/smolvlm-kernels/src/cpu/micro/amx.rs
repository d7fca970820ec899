//! Matrix tiles of AMX: products of 16 rows and 16 columns in one instruction.
//!
//! A panel is in the layout of AMX's second operand: 16 steps of 16 columns make a tile. Four tiles of sums cover 32
//! rows and 32 columns, so that each tile that is loaded is used twice. The instructions are written in assembly,
//! since their intrinsics are not stable.

use super::kernels::Kernels;
use super::{Operand, Tile, avx512};
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::isa::Isa;
use std::arch::asm;

/// Rows of a tile register, and its row length in words.
const TILE: usize = 16;

/// Installs the kernels if the processor supports them.
pub(super) fn install(isa: Isa, kernels: &mut Kernels) {
    if isa.amx {
        kernels.rows = 2 * TILE;
        kernels.bf16_tile = bf16_tile;
        kernels.q8_to_bf16 = Some(avx512::q8_to_bf16);
        kernels.q4_to_bf16 = Some(avx512::q4_to_bf16);
    }
}

/// Shapes of the tile registers, as `ldtilecfg` reads them.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes per row of each register.
    row_bytes: [u16; 16],
    /// Rows of each register.
    rows: [u8; 16],
}

impl TileConfig {
    /// Registers 0 to 3 hold sums, left and right of the upper and of the lower rows; 4 and 5 hold the rows' values for
    /// some steps, 6 and 7 the weights.
    fn new(upper: usize, lower: usize, steps: usize) -> Self {
        let mut config = Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        let registers = [upper, upper, lower, lower, upper, lower, steps, steps].into_iter().enumerate();
        for (register, rows) in registers.filter(|(_, rows)| *rows > 0) {
            let words = if matches!(register, 4 | 5) { steps } else { TILE };
            config.row_bytes[register] = 4 * words as u16;
            config.rows[register] = rows as u8;
        }
        config
    }
}

fn bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    let (blocks, rest) = (steps / TILE, steps % TILE);
    let mut started = false;
    for (index, panel) in panels.iter().enumerate() {
        let values = a.words[index * steps..].as_ptr();
        let sums = out.sums.as_mut_ptr();
        for (first, steps, count) in [(0, TILE, blocks), (blocks * TILE, rest, 1)] {
            if steps * count > 0 {
                let config = TileConfig::new(a.rows.min(TILE), a.rows.saturating_sub(TILE), steps);
                let (values, panel) = (values.wrapping_add(first), panel.as_ptr().wrapping_add(2 * first));
                #[expect(unsafe_code, reason = "installed only for processors with the instructions")]
                // SAFETY: `super` checked that panels and rows hold all steps and that the sums have room for the rows.
                unsafe {
                    if a.rows > TILE {
                        multiply_tall(&config, values, a.stride, panel, count, sums, out.stride, started);
                    } else {
                        multiply(&config, values, a.stride, panel, count, sums, out.stride, started);
                    }
                }
                started = true;
            }
        }
    }
}

/// Adds the products of up to 16 rows with `count` blocks of steps to the sums, or stores them if none are there yet.
#[allow(unsafe_code)]
#[expect(clippy::too_many_arguments, reason = "the operands of a microkernel")]
unsafe fn multiply(
    config: &TileConfig,
    values: *const u32,
    stride: usize,
    panel: *const CacheLine,
    count: usize,
    sums: *mut f32,
    sums_stride: usize,
    add: bool,
) {
    // SAFETY: the caller has these rows, steps and sums; the tile registers are released at the end.
    unsafe {
        asm!(
            "ldtilecfg [{config}]",
            "test {add}, {add}",
            "jz 2f",
            "tileloadd tmm0, [{sums} + {sums_stride}]",
            "tileloadd tmm1, [{sums} + {sums_stride} + 64]",
            "2:",
            "tileloadd tmm4, [{values} + {stride}]",
            "tileloadd tmm6, [{panel} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{panel} + {line} + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {values}, 64",
            "add {panel}, 2048",
            "dec {count}",
            "jnz 2b",
            "tilestored [{sums} + {sums_stride}], tmm0",
            "tilestored [{sums} + {sums_stride} + 64], tmm1",
            "tilerelease",
            config = in(reg) config,
            add = in(reg) usize::from(add),
            sums = in(reg) sums,
            sums_stride = in(reg) 4 * sums_stride,
            values = inout(reg) values => _,
            stride = in(reg) 4 * stride,
            panel = inout(reg) panel => _,
            line = in(reg) 128_usize,
            count = inout(reg) count => _,
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// The same for 17 to 32 rows.
#[allow(unsafe_code)]
#[expect(clippy::too_many_arguments, reason = "the operands of a microkernel")]
unsafe fn multiply_tall(
    config: &TileConfig,
    values: *const u32,
    stride: usize,
    panel: *const CacheLine,
    count: usize,
    sums: *mut f32,
    sums_stride: usize,
    add: bool,
) {
    let (lower, lower_sums) = (values.wrapping_add(TILE * stride), sums.wrapping_add(TILE * sums_stride));
    // SAFETY: as for `multiply`.
    unsafe {
        asm!(
            "ldtilecfg [{config}]",
            "test {add}, {add}",
            "jz 2f",
            "tileloadd tmm0, [{sums} + {sums_stride}]",
            "tileloadd tmm1, [{sums} + {sums_stride} + 64]",
            "tileloadd tmm2, [{lower_sums} + {sums_stride}]",
            "tileloadd tmm3, [{lower_sums} + {sums_stride} + 64]",
            "2:",
            "tileloadd tmm4, [{values} + {stride}]",
            "tileloadd tmm6, [{panel} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{panel} + {line} + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {stride}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {values}, 64",
            "add {lower}, 64",
            "add {panel}, 2048",
            "dec {count}",
            "jnz 2b",
            "tilestored [{sums} + {sums_stride}], tmm0",
            "tilestored [{sums} + {sums_stride} + 64], tmm1",
            "tilestored [{lower_sums} + {sums_stride}], tmm2",
            "tilestored [{lower_sums} + {sums_stride} + 64], tmm3",
            "tilerelease",
            config = in(reg) config,
            add = in(reg) usize::from(add),
            sums = in(reg) sums,
            lower_sums = in(reg) lower_sums,
            sums_stride = in(reg) 4 * sums_stride,
            values = inout(reg) values => _,
            lower = inout(reg) lower => _,
            stride = in(reg) 4 * stride,
            panel = inout(reg) panel => _,
            line = in(reg) 128_usize,
            count = inout(reg) count => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
