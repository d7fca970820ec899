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
        kernels.batch = 4;
        kernels.bf16_tile = bf16_tile;
        kernels.bf16_is_fastest = true;
        kernels.q8_to_bf16 = avx512::q8_to_bf16;
        kernels.q4_to_bf16 = avx512::q4_to_bf16;
    }
}

/// Prefetch distance, in blocks of 16 steps of a panel.
const AHEAD_BLOCKS: usize = 6;

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
        for (first, block_steps, blocks) in [(0, TILE, blocks), (blocks * TILE, rest, 1)] {
            if block_steps * blocks > 0 {
                let values = a.words[index * steps + first..].as_ptr();
                let panel = panel.as_ptr().wrapping_add(2 * first);
                let product = Product { values, stride: a.stride, panel, blocks, out_stride: out.stride, add: started };
                #[expect(unsafe_code, reason = "installed only for processors with the instructions")]
                // SAFETY: `super` checked that panels and rows hold all steps and that the sums have room for the rows.
                unsafe {
                    product.run(block_steps, a.rows, out.sums.as_mut_ptr());
                }
                started = true;
            }
        }
    }
}

/// Products of rows with some blocks of steps of a panel.
struct Product {
    values: *const u32,
    /// Row stride of the values, in words.
    stride: usize,
    panel: *const CacheLine,
    blocks: usize,
    out_stride: usize,
    /// Whether they are added to the sums.
    add: bool,
}

impl Product {
    /// Computes all rows. The registers are configured once for all rows but the last few, since that takes as long as
    /// some products.
    #[allow(unsafe_code)]
    unsafe fn run(&self, block_steps: usize, rows: usize, sums: *mut f32) {
        let mut configured = 0;
        for first in (0..rows).step_by(2 * TILE) {
            let count = (rows - first).min(2 * TILE);
            if count != configured {
                let config = TileConfig::new(count.min(TILE), count.saturating_sub(TILE), block_steps);
                // SAFETY: the configuration is valid; `bf16_tile` is installed for processors with the instruction.
                unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
                configured = count;
            }
            let (values, sums) =
                (self.values.wrapping_add(first * self.stride), sums.wrapping_add(first * self.out_stride));
            // SAFETY: the caller has these rows, and the registers are configured for as many.
            unsafe { if count > TILE { self.multiply_tall(values, sums) } else { self.multiply(values, sums) } }
        }
        // SAFETY: no register is needed any more.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }

    /// Adds the products of up to 16 rows to the sums, or stores them if none are there yet.
    #[allow(unsafe_code)]
    unsafe fn multiply(&self, values: *const u32, sums: *mut f32) {
        // SAFETY: the caller has these rows, steps and sums, and configured the registers.
        unsafe {
            asm!(
                "test {add}, {add}",
                "jz 3f",
                "tileloadd tmm0, [{sums} + {sums_stride}]",
                "tileloadd tmm1, [{sums} + {sums_stride} + 64]",
                "jmp 2f",
                "3:",
                "tilezero tmm0",
                "tilezero tmm1",
                "2:",
                // The weights of few rows come from memory. Loads of tiles request their lines too late.
                ".irp ahead, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
                "prefetcht0 [{panel} + {ahead} + 64*\\ahead]",
                ".endr",
                "tileloadd tmm4, [{values} + {stride}]",
                "tileloadd tmm6, [{panel} + {line}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{panel} + {line} + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "add {values}, 64",
                "add {panel}, 2048",
                "dec {blocks}",
                "jnz 2b",
                "tilestored [{sums} + {sums_stride}], tmm0",
                "tilestored [{sums} + {sums_stride} + 64], tmm1",
                ahead = const 2048 * AHEAD_BLOCKS,
                add = in(reg) usize::from(self.add),
                sums = in(reg) sums,
                sums_stride = in(reg) 4 * self.out_stride,
                values = inout(reg) values => _,
                stride = in(reg) 4 * self.stride,
                panel = inout(reg) self.panel => _,
                line = in(reg) 128_usize,
                blocks = inout(reg) self.blocks => _,
                out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// The same for 17 to 32 rows.
    #[allow(unsafe_code)]
    unsafe fn multiply_tall(&self, values: *const u32, sums: *mut f32) {
        let (lower, lower_sums) = (values.wrapping_add(TILE * self.stride), sums.wrapping_add(TILE * self.out_stride));
        // SAFETY: as for `multiply`.
        unsafe {
            asm!(
                "test {add}, {add}",
                "jz 3f",
                "tileloadd tmm0, [{sums} + {sums_stride}]",
                "tileloadd tmm1, [{sums} + {sums_stride} + 64]",
                "tileloadd tmm2, [{lower_sums} + {sums_stride}]",
                "tileloadd tmm3, [{lower_sums} + {sums_stride} + 64]",
                "jmp 2f",
                "3:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
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
                "dec {blocks}",
                "jnz 2b",
                "tilestored [{sums} + {sums_stride}], tmm0",
                "tilestored [{sums} + {sums_stride} + 64], tmm1",
                "tilestored [{lower_sums} + {sums_stride}], tmm2",
                "tilestored [{lower_sums} + {sums_stride} + 64], tmm3",
                add = in(reg) usize::from(self.add),
                sums = in(reg) sums,
                lower_sums = in(reg) lower_sums,
                sums_stride = in(reg) 4 * self.out_stride,
                values = inout(reg) values => _,
                lower = inout(reg) lower => _,
                stride = in(reg) 4 * self.stride,
                panel = inout(reg) self.panel => _,
                line = in(reg) 128_usize,
                blocks = inout(reg) self.blocks => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
