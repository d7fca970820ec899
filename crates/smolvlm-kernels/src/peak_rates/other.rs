//! Processors without instructions of their own here: what plain code is compiled to must do.

use super::arithmetic::Chains;

/// f32 multiply-adds.
pub(super) fn fma_f32() -> Option<Chains> {
    None
}

/// bf16 products.
pub(super) fn dot_bf16() -> Option<Chains> {
    None
}

/// 8-bit products.
pub(super) fn dot_int8() -> Option<Chains> {
    None
}

/// G bytes a second from memory.
pub(super) fn read(_threads: usize) -> Option<f64> {
    None
}
