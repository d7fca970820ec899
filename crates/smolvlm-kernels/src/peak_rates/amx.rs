//! Peak rate of the tile products of AMX.

use super::arithmetic::Chains;
use std::arch::asm;

/// Tiles of sums; two tiles of values and two of weights make four products.
const TILES: usize = 4;

/// Multiply-adds of a product of tiles of bf16: 16 rows, 16 columns, 32 inputs.
const PRODUCT: usize = 16 * 16 * 32;

/// One round in so many runs: a product takes 16 cycles, where other chains take about half a cycle.
const SKIPPED: usize = 32;

/// Products of tiles of bf16. The processor and the system must support AMX.
pub(super) fn dot_bf16() -> Chains {
    Chains { run, operations: 2 * TILES * PRODUCT / SKIPPED }
}

fn run(rounds: usize) {
    let mut config = [0_u8; 64];
    config[0] = 1;
    for register in 0..8 {
        // 64 bytes per row, 16 rows.
        (config[16 + 2 * register], config[48 + register]) = (64, 16);
    }
    let rounds = rounds.div_ceil(SKIPPED);
    #[expect(unsafe_code, reason = "instructions without intrinsics")]
    // SAFETY: only registers are used, which are released at the end; callers have checked that there are such.
    unsafe {
        asm!(
            "ldtilecfg [{config}]",
            "2:",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "dec {rounds}",
            "jnz 2b",
            "tilerelease",
            config = in(reg) &config,
            rounds = inout(reg) rounds => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            options(nostack),
        );
    }
}
