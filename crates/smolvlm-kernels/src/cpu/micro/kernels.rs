//! The table of kernels for the processor's instruction sets.

use super::{Operand, QuantParams, Tile, plain};
use crate::PackedFormat;
use crate::activation;
use crate::cpu::aligned_buf::CacheLine;
use crate::cpu::epilogue::{Region, narrow_rows};
use crate::cpu::hadamard;
use crate::cpu::isa::Isa;
use crate::cpu::shared_slice::SharedSlice;
use crate::cpu::softmax::{self, RowStats};
use half::bf16;
use std::sync::OnceLock;

/// Rows times panels, each of that many steps, stacked along the inner dimension or side by side.
pub(super) type FloatTile = fn(Operand<'_>, &[&[CacheLine]], usize, Tile<'_>);

/// Rows times a panel of that many groups.
type QuantizedTile = fn(Operand<'_>, QuantParams<'_>, &[CacheLine], usize, Tile<'_>);

/// Rows times a panel of that many steps.
type MixedTile = fn(Operand<'_>, &[CacheLine], usize, Tile<'_>);

/// Converts a panel to another format.
pub(super) type Convert = fn(&[CacheLine], &mut [CacheLine]);

/// One function per kernel. Those of an instruction set sum in the order of the portable ones and agree with them to
/// the tolerances of the tests.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// Rows per tile with which the kernels are fastest.
    pub(crate) rows: usize,
    /// Tiles that a call should process where it can; together at most [`ROWS`](super::ROWS) rows.
    pub(crate) batch: usize,
    /// f32 rows times f32 panels.
    pub(crate) f32_tile: FloatTile,
    /// bf16 rows times bf16 panels.
    pub(crate) bf16_tile: FloatTile,
    /// bf16 rows times bf16 panels side by side, if that is faster than one panel after the other.
    pub(crate) bf16_tiles: Option<FloatTile>,
    /// f32 rows times a bf16 panel, with the results of `f32_tile`.
    pub(crate) mixed_tile: MixedTile,
    /// Whether `mixed_tile` is so much slower than `f32_tile` that widening a panel pays for more than a tile of rows.
    pub(crate) widens: bool,
    /// 8-bit rows times an 8-bit panel.
    pub(crate) q8_tile: QuantizedTile,
    /// 8-bit rows times a 4-bit panel.
    pub(crate) q4_tile: QuantizedTile,
    /// Whether tiles of bf16 are so much faster than those of 8 bits that converting panels to bf16 pays.
    pub(crate) bf16_is_fastest: bool,
    /// Converts an 8-bit panel to bf16.
    pub(crate) q8_to_bf16: Convert,
    /// Converts a 4-bit panel to bf16.
    pub(crate) q4_to_bf16: Convert,
    /// See [`hadamard`](crate::cpu::hadamard()).
    pub(crate) hadamard: fn(&mut [f32]),
    /// SiLU of every value.
    pub(crate) silu: fn(&mut [f32]),
    /// The tanh approximation of GELU of every value.
    pub(crate) gelu_tanh: fn(&mut [f32]),
    /// See [`softmax`](crate::cpu::softmax::softmax).
    pub(crate) softmax_f32: fn(&[f32], f32, &mut [f32]) -> RowStats,
    /// The same with rounded results.
    pub(crate) softmax_bf16: fn(&[f32], f32, &mut [bf16]) -> RowStats,
    /// See [`narrow_rows`].
    pub(crate) narrow_rows: unsafe fn(&[f32], usize, Region, SharedSlice<'_, bf16>),
}

/// Portable kernels, which the compiler vectorizes for each level.
const PLAIN: Kernels = Kernels {
    rows: 12,
    batch: 1,
    f32_tile: plain::f32_tile,
    bf16_tile: plain::bf16_tile,
    bf16_tiles: None,
    mixed_tile: plain::mixed_tile,
    widens: true,
    q8_tile: plain::q8_tile,
    q4_tile: plain::q4_tile,
    bf16_is_fastest: false,
    q8_to_bf16: plain::q8_to_bf16,
    q4_to_bf16: plain::q4_to_bf16,
    hadamard: hadamard::plain,
    silu: activation::silu,
    gelu_tanh: activation::gelu_tanh,
    softmax_f32: softmax::plain,
    softmax_bf16: softmax::plain,
    narrow_rows,
};

/// The kernels for [`Isa::current`], selected once.
pub(crate) fn kernels() -> &'static Kernels {
    static CURRENT: OnceLock<Kernels> = OnceLock::new();
    CURRENT.get_or_init(|| select(Isa::current()))
}

/// Rows per tile with which the kernels are fastest.
pub(crate) fn tile_rows() -> usize {
    kernels().rows
}

/// Rows per call with which the kernels are fastest, a multiple of [`tile_rows`].
pub(crate) fn call_rows() -> usize {
    kernels().rows * kernels().batch
}

/// Whether panels of bf16 weights are widened for this number of f32 rows.
pub(crate) fn is_widened(rows: usize) -> bool {
    kernels().widens && rows > tile_rows()
}

/// Whether activations that are multiplied with weights of this format are bf16, although the weights are quantized.
pub(crate) fn bf16_activations(format: PackedFormat) -> bool {
    format.group().is_some() && kernels().bf16_is_fastest
}

/// Each instruction set replaces the kernels that it improves.
fn select(isa: Isa) -> Kernels {
    #[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(unused_mut, unused_variables))]
    let mut kernels = PLAIN;
    #[cfg(target_arch = "x86_64")]
    {
        super::avx2::install(isa, &mut kernels);
        super::avx512::install(isa, &mut kernels);
        #[cfg(target_os = "linux")]
        super::amx::install(isa, &mut kernels);
    }
    #[cfg(target_arch = "aarch64")]
    super::neon::install(isa, &mut kernels);
    kernels
}
