//! Architectures without dedicated code: the portable code is measured instead.

use super::arithmetic::Chains;

/// No dedicated f32 multiply-adds.
pub(super) fn fma_f32() -> Option<Chains> {
    None
}

/// No bf16 dot products.
pub(super) fn dot_bf16() -> Option<Chains> {
    None
}

/// No 8-bit dot products.
pub(super) fn dot_int8() -> Option<Chains> {
    None
}

/// No dedicated memory read.
pub(super) fn read(_threads: usize) -> Option<f64> {
    None
}
