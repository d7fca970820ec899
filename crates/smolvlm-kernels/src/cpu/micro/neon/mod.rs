//! Kernels for NEON, with BF16, dot products and 8-bit matrix products where the processor has them.

mod by_element;
mod by_pair;
mod floats;
mod sub_tile;

use super::kernels::Kernels;
use crate::cpu::isa::Isa;

/// Installs the kernels that the processor supports.
pub(super) fn install(isa: Isa, kernels: &mut Kernels) {
    kernels.f32_tile = floats::f32_tile;
    kernels.bf16_tile = if isa.bf16 { floats::bf16_tile } else { floats::wide_bf16_tile };
}
