//! Matrix tiles of AMX: products of 16 rows and 16 columns in one instruction.
//!
//! A panel is in the layout of AMX's second operand: 16 steps of 16 columns make a tile. Four tiles of sums cover 32
//! rows and 32 columns, so that each tile that is loaded is used twice. The instructions are written in assembly,
//! since their intrinsics are not stable.

use super::kernels::Kernels;
use super::{COLUMNS, Operand, Tile, avx512};
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
        kernels.bf16_tiles = Some(bf16_tiles);
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

/// Multiplies rows with panels that are stacked along the inner dimension.
fn bf16_tile(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    let mut registers = Registers::default();
    for (index, panel) in panels.iter().enumerate() {
        for part in parts(steps) {
            let add = index + part.first > 0;
            let product = Product::new(a, index * steps, panel, part, &out, add);
            #[expect(unsafe_code, reason = "installed only for processors with the instructions")]
            // SAFETY: `super` checked that panels and rows hold all steps and that the sums have room for the rows.
            unsafe {
                product.run(&mut registers, a.rows, out.sums.as_mut_ptr());
            }
        }
    }
}

/// Multiplies rows with panels side by side.
fn bf16_tiles(a: Operand<'_>, panels: &[&[CacheLine]], steps: usize, out: Tile<'_>) {
    let mut registers = Registers::default();
    for part in parts(steps) {
        for (index, panel) in panels.iter().enumerate() {
            let product = Product::new(a, 0, panel, part, &out, part.first > 0);
            let sums = out.sums[index * COLUMNS..].as_mut_ptr();
            #[expect(unsafe_code, reason = "installed only for processors with the instructions")]
            // SAFETY: `super` checked that panels and rows hold all steps and that the sums have room for all panels.
            unsafe {
                product.run(&mut registers, a.rows, sums);
            }
        }
    }
}

/// Blocks of steps of equal size, from step `first`.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    blocks: usize,
    block_steps: usize,
}

/// The steps of a panel: whole blocks, and a shorter one for the rest.
fn parts(steps: usize) -> impl Iterator<Item = Part> {
    let blocks = steps / TILE;
    let whole = Part { first: 0, blocks, block_steps: TILE };
    let rest = Part { first: blocks * TILE, blocks: 1, block_steps: steps % TILE };
    [whole, rest].into_iter().filter(|part| part.blocks * part.block_steps > 0)
}

/// The configuration of the tile registers, which are released at the end. It takes as long as some products, so that
/// it changes only where it must.
#[derive(Default)]
struct Registers {
    rows: usize,
    steps: usize,
}

impl Registers {
    /// Configures the registers for that many rows, at most 32, and steps per block.
    #[allow(unsafe_code)]
    fn configure(&mut self, rows: usize, steps: usize) {
        if (self.rows, self.steps) != (rows, steps) {
            let config = TileConfig::new(rows.min(TILE), rows.saturating_sub(TILE), steps);
            // SAFETY: the configuration is valid; the kernels are installed for processors with the instruction.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
            (self.rows, self.steps) = (rows, steps);
        }
    }
}

impl Drop for Registers {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the kernels are installed for processors with the instruction.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Products of rows with some blocks of steps of a panel.
struct Product {
    values: *const u32,
    /// Row stride of the values, in words.
    stride: usize,
    panel: *const CacheLine,
    blocks: usize,
    block_steps: usize,
    out_stride: usize,
    /// Whether they are added to the sums.
    add: bool,
}

impl Product {
    /// The products of a part of a panel with the rows' steps from `step` on.
    fn new(a: Operand<'_>, step: usize, panel: &[CacheLine], part: Part, out: &Tile<'_>, add: bool) -> Self {
        let Part { first, blocks, block_steps } = part;
        Self {
            values: a.words[step + first..].as_ptr(),
            stride: a.stride,
            panel: panel[2 * first..].as_ptr(),
            blocks,
            block_steps,
            out_stride: out.stride,
            add,
        }
    }

    /// Computes all rows.
    #[allow(unsafe_code)]
    unsafe fn run(&self, registers: &mut Registers, rows: usize, sums: *mut f32) {
        for first in (0..rows).step_by(2 * TILE) {
            let count = (rows - first).min(2 * TILE);
            registers.configure(count, self.block_steps);
            let (values, sums) =
                (self.values.wrapping_add(first * self.stride), sums.wrapping_add(first * self.out_stride));
            // SAFETY: the caller has these rows, and the registers are configured for as many.
            unsafe { if count > TILE { self.multiply_tall(values, sums) } else { self.multiply(values, sums) } }
        }
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
